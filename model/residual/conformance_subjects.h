// What the conformance suite runs: every scheme with every choice of its options in every task that takes it, small.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "model/residual/residual_scheme.h"
#include "model/tasks/registry.h"
#include "model/tasks/task.h"

namespace strata::model {

inline constexpr int64_t kVocabulary = 23;

inline void Seed(uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(seed);
}

// One scheme with one choice of its options, in one task that takes it.
struct Subject {
  std::string scheme, options, task;
};
// The scheme with its options left alone and, one at a time, with each other choice; numbers at a value of their range.
// Each in every task that takes it.
inline std::vector<Subject> SubjectsOf(const std::string& scheme) {
  const SchemeInfo& info = DescribeScheme(scheme);
  std::vector<std::string> choices = {""};
  for (const SchemeOption& option : info.options) {
    for (const std::string& choice : option.choices) {
      if (choice != option.default_value) choices.push_back(option.name + "=" + choice);
    }
    if (option.choices.empty())
      choices.push_back(option.name + "=" + std::to_string(std::min(option.max, option.min + 0.7)));
  }
  std::vector<Subject> subjects;
  for (const std::string& task : info.tasks.empty() ? TaskNames() : info.tasks) {
    for (const std::string& choice : choices) subjects.push_back({scheme, choice, task});
  }
  return subjects;
}

inline ModelConfig SmallConfig(const Subject& subject) {
  ModelConfig config{.task = subject.task,
                     .scheme = subject.scheme,
                     .encoder_layers = DescribeTask(subject.task).two_stacks ? 2 : 0,
                     .decoder_layers = 3,
                     .dim = 12,
                     .ffn_dim = 20,
                     .heads = 3,
                     .vocabulary = kVocabulary,
                     .share_embeddings = DescribeTask(subject.task).share_embeddings.at(0),
                     .dropout = 0,
                     .label_smoothing = 0.1,
                     .scheme_options = subject.options};
  if (subject.task == "language_model") {
    config.adaptive_cutoffs = {8, 12};
    config.adaptive_factor = 2;
    config.label_smoothing = 0;
  }
  config.convolution_channels = 10;
  config.feature_bins = 6;
  return config;
}

inline std::unique_ptr<SequenceModel> Make(const ModelConfig& config, uint64_t seed = 5) {
  Seed(seed);
  auto model = CreateModel(config);
  // Off the special values 0 and 1, so that mix-ups show.
  for (auto& parameter : model->Parameters()) {
    const at::NoGradGuard no_grad;
    if (parameter.tensor.dim() == 1) parameter.tensor.add_(at::randn_like(parameter.tensor) * 0.1);
  }
  return model;
}

inline at::Tensor Tokens(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row, at::kLong));
  return at::stack(tensors);
}

// Rows of unequal length, one token at least.
inline Batch SmallBatch(const ModelConfig& config) {
  Batch batch;
  batch.target_BT = Tokens({{8, 10, kEos, kPad}, {4, 15, 6, kEos}, {kEos, kPad, kPad, kPad}});
  batch.target_input_BT = Tokens({{kEos, 8, 10, kPad}, {kEos, 4, 15, 6}, {kEos, kPad, kPad, kPad}});
  batch.target_tokens = 8;
  batch.sentences = 3;
  if (config.task == "speech") {
    batch.source_frames = {17, 9, 4};
    batch.source_features_BSF = at::zeros({3, 17, config.feature_bins});
    for (int64_t b = 0; b < 3; ++b) {
      batch.source_features_BSF[b]
          .narrow(0, 0, batch.source_frames[b])
          .copy_(at::sin(at::arange(batch.source_frames[b] * config.feature_bins, at::kFloat) + b)
                     .view({-1, config.feature_bins}));
    }
  } else if (config.encoder_layers > 0) {
    batch.source_BS = Tokens({{7, 9, 11, 13, kEos}, {5, 6, kEos, kPad, kPad}, {kEos, kPad, kPad, kPad, kPad}});
  }
  return batch;
}

// Sentence b of a batch without its padding.
inline Batch Alone(const Batch& batch, int64_t b) {
  Batch alone;
  const int64_t target = batch.target_BT[b].ne(kPad).sum().item<int64_t>();
  if (batch.source_BS.defined())
    alone.source_BS = batch.source_BS.narrow(0, b, 1).narrow(1, 0, batch.source_BS[b].ne(kPad).sum().item<int64_t>());
  alone.target_BT = batch.target_BT.narrow(0, b, 1).narrow(1, 0, target);
  alone.target_input_BT = batch.target_input_BT.narrow(0, b, 1).narrow(1, 0, target);
  alone.sentences = 1;
  return alone;
}

}  // namespace strata::model
