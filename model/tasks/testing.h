// Small models and batches of every task, for tests.
#pragma once

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>

#include <memory>
#include <string>
#include <vector>

#include "model/tasks/registry.h"
#include "model/tasks/task.h"

namespace strata::model {

inline constexpr int64_t kSmallVocabulary = 23, kSmallBins = 6;

// No dropout; 2L-3L, or 3L where the task has one stack.
inline ModelConfig SmallConfig(const std::string& task, const std::string& scheme) {
  ModelConfig config{.task = task,
                     .scheme = scheme,
                     .encoder_layers = DescribeTask(task).two_stacks ? 2 : 0,
                     .decoder_layers = 3,
                     .dim = 12,
                     .ffn_dim = 20,
                     .heads = 3,
                     .vocabulary = kSmallVocabulary,
                     .share_embeddings = DescribeTask(task).share_embeddings.front(),
                     .dropout = 0,
                     .label_smoothing = 0.1,
                     .convolution_channels = 14,
                     .feature_bins = kSmallBins};
  if (task == "language_model") {
    config.adaptive_cutoffs = {9, 15};
    config.adaptive_factor = 2;
    config.label_smoothing = 0;
  }
  return config;
}

inline at::Tensor Ids(const std::vector<int64_t>& ids) { return at::tensor(ids, at::kLong); }

inline at::Tensor Tokens(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(Ids(row));
  return at::stack(tensors);
}

// Three sentences of unequal length, the third of one token (speech: of one frame).
inline Batch SmallBatch(const std::string& task) {
  Batch batch;
  batch.target_BT = Tokens({{8, 10, 16, kEos, kPad}, {4, 5, 6, 21, kEos}, {kEos, kPad, kPad, kPad, kPad}});
  batch.target_input_BT = Tokens({{kEos, 8, 10, 16, kPad}, {kEos, 4, 5, 6, 21}, {kEos, kPad, kPad, kPad, kPad}});
  batch.target_tokens = 10;
  batch.sentences = 3;
  if (task == "speech") {
    batch.source_frames = {17, 11, 1};
    at::Generator generator = at::detail::createCPUGenerator(9);
    batch.source_features_BSF = at::zeros({3, 17, kSmallBins});
    for (int64_t b = 0; b < 3; ++b)
      batch.source_features_BSF[b].narrow(0, 0, batch.source_frames[b]).normal_(0, 1, generator);
  } else if (DescribeTask(task).two_stacks) {
    batch.source_BS = Tokens({{7, 9, 11, 13, kEos}, {5, 6, kEos, kPad, kPad}, {kEos, kPad, kPad, kPad, kPad}});
  }
  return batch;
}

inline void Seed(uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(seed);
}

inline std::unique_ptr<SequenceModel> SmallModel(const ModelConfig& config, uint64_t seed = 5) {
  Seed(seed);
  return CreateModel(config);
}

}  // namespace strata::model
