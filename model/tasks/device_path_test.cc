// What devices compute, by LibTorch's operations, on the CPU beside the processors' kernels: every scheme in every task, with
// every dropout on.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "model/diagnostics/inspect.h"
#include "model/layers/device_path.h"
#include "model/optim/adam.h"
#include "model/residual/residual_scheme.h"
#include "model/tasks/testing.h"

namespace strata::model {
namespace {

class DevicePathTest : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

struct Subject {
  std::string scheme, task;
};
std::vector<Subject> SchemesAndTasks() {
  std::vector<Subject> subjects;
  for (const std::string& scheme : SchemeNames()) {
    const std::vector<std::string>& tasks = DescribeScheme(scheme).tasks;
    for (const std::string& task : tasks.empty() ? TaskNames() : tasks) subjects.push_back({scheme, task});
  }
  return subjects;
}

ModelConfig WithDropout(ModelConfig config) {
  config.dropout = 0.2;
  config.attention_dropout = 0.3;
  config.activation_dropout = 0.1;
  config.word_dropout = 0.2;
  if (config.task == "language_model") config.adaptive_softmax_dropout = 0.2;
  if (config.task == "speech") config.frequency_masks = config.time_masks = 1;
  return config;
}

struct Outcome {
  double loss = 0, nll = 0;
  std::map<std::string, at::Tensor> gradients;
};

Outcome Train(const ModelConfig& config, const Batch& batch) {
  const auto model = SmallModel(config);
  model->Profile(batch);
  Seed(11);
  const LossSums sums = model->Loss(batch, /*training=*/true);
  (sums.loss * 0.5).backward();  // so that the loss' own gradient is not 1
  Outcome out{.loss = sums.loss.item<double>(), .nll = sums.nll.item<double>()};
  for (const NamedParameter& parameter : model->Parameters()) {
    const at::Tensor gradient = parameter.tensor.grad();
    EXPECT_TRUE(gradient.defined()) << parameter.name;
    if (gradient.defined()) out.gradients[parameter.name] = gradient.is_sparse() ? gradient.to_dense() : gradient;
  }
  return out;
}
Outcome TrainOnDevice(const ModelConfig& config, const Batch& batch) {
  const ForcedDevicePath forced;
  return Train(config, batch);
}

// Of one tensor against the other's greatest element; where that is rounding's (a key's bias has a true gradient of
// zero), against `least`.
double Deviation(const at::Tensor& ours, const at::Tensor& theirs, double least = 1e-2) {
  return (ours - theirs).abs().max().item<double>() / std::max(theirs.abs().max().item<double>(), least);
}

TEST_F(DevicePathTest, LossAndEveryGradientAreTheKernels) {
  for (const auto& [scheme, task] : SchemesAndTasks()) {
    for (const std::string& sharing : DescribeTask(task).share_embeddings) {
      ModelConfig config = WithDropout(SmallConfig(task, scheme));
      config.share_embeddings = sharing;
      const Batch batch = SmallBatch(task);
      const Outcome kernels = Train(config, batch), device = TrainOnDevice(config, batch);
      const std::string subject = scheme + " " + task + " " + sharing;
      EXPECT_NEAR(device.loss, kernels.loss, 1e-5 * kernels.loss) << subject;
      EXPECT_NEAR(device.nll, kernels.nll, 1e-5 * kernels.nll) << subject;
      for (const auto& [name, gradient] : kernels.gradients)
        EXPECT_LT(Deviation(device.gradients.at(name), gradient), 2e-5) << subject << " " << name;
    }
  }
}

// A product's factor that lies between two bf16 numbers goes either way with the last bit of a sum, so single elements
// differ by more.
TEST_F(DevicePathTest, InBf16LossAndGradientsAreTheKernelsToItsRounding) {
  for (const auto& [scheme, task] : SchemesAndTasks()) {
    ModelConfig config = WithDropout(SmallConfig(task, scheme));
    config.precision = Precision::kBfloat16;
    const Batch batch = SmallBatch(task);
    const Outcome kernels = Train(config, batch), device = TrainOnDevice(config, batch);
    EXPECT_NEAR(device.loss, kernels.loss, 1e-4 * kernels.loss) << scheme << " " << task;
    double difference = 0, all = 0;
    for (const auto& [name, gradient] : kernels.gradients) {
      difference += (device.gradients.at(name) - gradient).pow(2).sum().item<double>();
      all += gradient.pow(2).sum().item<double>();
    }
    EXPECT_LT(std::sqrt(difference / all), 2e-3) << scheme << " " << task;
  }
}

TEST_F(DevicePathTest, RepeatsItselfBitByBit) {
  for (const std::string& task : TaskNames()) {
    const ModelConfig config = WithDropout(SmallConfig(task, "dlcl"));
    const Batch batch = SmallBatch(task);
    const Outcome first = TrainOnDevice(config, batch), second = TrainOnDevice(config, batch);
    EXPECT_EQ(first.loss, second.loss) << task;
    for (const auto& [name, gradient] : first.gradients) EXPECT_TRUE(at::equal(second.gradients.at(name), gradient)) << name;
  }
}

// Weights after 30 updates.
at::Tensor Trained(const ModelConfig& config, const Batch& batch) {
  const auto model = SmallModel(config);
  Adam adam(model->Parameters(), {});
  Seed(3);
  for (int update = 0; update < 30; ++update) {
    adam.ZeroGradients();
    model->Loss(batch, /*training=*/true).loss.backward();
    adam.Step(1e-3, static_cast<double>(batch.target_tokens));
  }
  return adam.flat().weights().clone();
}

TEST_F(DevicePathTest, ThirtyUpdatesFollowTheKernels) {
  for (const std::string& task : TaskNames()) {
    const ModelConfig config = WithDropout(SmallConfig(task, "b2t"));
    const Batch batch = SmallBatch(task);
    const at::Tensor kernels = Trained(config, batch);
    const ForcedDevicePath forced;
    const at::Tensor device = Trained(config, batch);
    EXPECT_LT((device - kernels).norm().item<double>() / kernels.norm().item<double>(), 1e-3) << task;
  }
}

TEST_F(DevicePathTest, LogitsAndDiagnosticsAreTheKernels) {
  const Inspection everything{.output_gradients = true,
                              .parameter_gradients = true,
                              .similarity = true,
                              .variances = true,
                              .location_layers = "1,last"};
  for (const auto& [scheme, task] : SchemesAndTasks()) {
    const Batch batch = SmallBatch(task);
    const auto model = SmallModel(SmallConfig(task, scheme));
    const at::Tensor logits = model->Logits(batch).detach();
    const Vectors kernels = Inspect(*model, batch, everything);
    const ForcedDevicePath forced;
    EXPECT_LT(Deviation(model->Logits(batch).detach(), logits), 1e-5) << scheme << " " << task;
    const Vectors device = Inspect(*model, batch, everything);
    for (const auto& [name, stacks] : kernels) {
      for (const auto& [stack, values] : stacks) {
        const std::vector<double>& other = device.at(name).at(stack);
        ASSERT_EQ(other.size(), values.size());
        for (size_t i = 0; i < values.size(); ++i) {
          if (std::isnan(values[i]) && std::isnan(other[i])) continue;
          EXPECT_NEAR(other[i], values[i], 1e-4 * std::max(1e-3, std::abs(values[i]))) << scheme << " " << task << " " << name;
        }
      }
    }
  }
}

void ExpectSame(const Hypotheses& device, const Hypotheses& kernels, double bound, const std::string& subject) {
  ASSERT_EQ(device.size(), kernels.size());
  for (size_t b = 0; b < kernels.size(); ++b) {
    ASSERT_EQ(device[b].size(), kernels[b].size()) << subject << ", sentence " << b;
    for (size_t rank = 0; rank < kernels[b].size(); ++rank) {
      EXPECT_EQ(device[b][rank].tokens, kernels[b][rank].tokens) << subject << ", sentence " << b << ", rank " << rank;
      EXPECT_NEAR(device[b][rank].score, kernels[b][rank].score, bound) << subject << ", sentence " << b;
    }
  }
}

TEST_F(DevicePathTest, DecodesTheSameHypotheses) {
  for (const auto& [scheme, task] : SchemesAndTasks()) {
    if (!DescribeTask(task).two_stacks) continue;
    const Batch batch = SmallBatch(task);
    const auto model = SmallModel(SmallConfig(task, scheme));
    for (const DecodeOptions& options : std::vector<DecodeOptions>{
             {.beam = 1, .max_length_b = 12},
             {.beam = 4, .length_penalty = 0.6, .max_length_b = 9, .min_length = 3, .n_best = 4},
             {.beam = 20, .max_length_a = 0.5, .max_length_b = 5, .n_best = 20},  // more candidates than tokens
             {.beam = 3, .max_length_b = 0, .n_best = 1}}) {
      const Hypotheses kernels = model->Decode(batch, options);
      const ForcedDevicePath forced;
      ExpectSame(model->Decode(batch, options), kernels, 1e-5, scheme + " " + task + " " + std::to_string(options.beam));
    }
  }
}

TEST_F(DevicePathTest, DecodesInBf16AsTheKernelsDo) {
  ModelConfig config = SmallConfig("translation", "b2t");
  config.precision = Precision::kBfloat16;
  const auto model = SmallModel(config);
  const Batch batch = SmallBatch("translation");
  const DecodeOptions options{.beam = 2, .max_length_b = 8};
  const Hypotheses kernels = model->Decode(batch, options);
  const ForcedDevicePath forced;
  ExpectSame(model->Decode(batch, options), kernels, 2e-2, "bf16");
}

// Nobody to ask: the cross-attention of its targets gives zeros.
TEST_F(DevicePathTest, ASentenceWithoutASourceIsTheKernels) {
  Batch batch = SmallBatch("translation");
  batch.source_BS[1].fill_(kPad);
  const ModelConfig config = WithDropout(SmallConfig("translation", "pre_ln"));
  const Outcome kernels = Train(config, batch), device = TrainOnDevice(config, batch);
  EXPECT_NEAR(device.loss, kernels.loss, 1e-5 * kernels.loss);
  for (const auto& [name, gradient] : kernels.gradients) EXPECT_LT(Deviation(device.gradients.at(name), gradient), 2e-5) << name;
  const auto model = SmallModel(config);
  const DecodeOptions options{.beam = 2, .max_length_b = 6, .n_best = 2};
  const Hypotheses expected = model->Decode(batch, options);
  const ForcedDevicePath forced;
  ExpectSame(model->Decode(batch, options), expected, 1e-5, "without a source");
}

// A weight that is no number must end as no number in either, and not make anyone wait for ever.
TEST_F(DevicePathTest, WhatIsNotFiniteStaysSo) {
  const Batch batch = SmallBatch("translation");
  const auto model = SmallModel(SmallConfig("translation", "post_ln"));
  model->Parameters()[0].tensor.detach()[8].fill_(std::nan(""));
  const ForcedDevicePath forced;
  EXPECT_TRUE(std::isnan(model->Loss(batch, /*training=*/false).loss.item<double>()));
  for (const auto& hypotheses : model->Decode(batch, {.beam = 2, .max_length_b = 5})) EXPECT_LE(hypotheses.size(), 1u);
}

}  // namespace
}  // namespace strata::model
