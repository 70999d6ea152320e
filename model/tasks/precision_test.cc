// Models in bf16: each scheme in each task stays near fp32, trains as fp32 does, and keeps its weights in fp32.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "model/optim/adam.h"
#include "model/residual/residual_scheme.h"
#include "model/tasks/testing.h"

namespace strata::model {
namespace {

// These models are so small that threads would only wait for each other.
class PrecisionTest : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(1); }
};

ModelConfig In(Precision precision, ModelConfig config) {
  config.precision = precision;
  return config;
}

std::vector<std::pair<std::string, std::string>> SchemesAndTasks() {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& scheme : SchemeNames()) {
    const std::vector<std::string>& tasks = DescribeScheme(scheme).tasks;
    for (const std::string& task : tasks.empty() ? TaskNames() : tasks) pairs.emplace_back(scheme, task);
  }
  return pairs;
}

// All gradients of one batch in a row.
struct Outcome {
  double loss = 0;
  at::Tensor gradient;
};
Outcome LossAndGradient(SequenceModel& model, const Batch& batch) {
  model.Profile(batch);
  const LossSums sums = model.Loss(batch, /*training=*/false);
  sums.loss.backward();
  std::vector<at::Tensor> gradients;
  for (const NamedParameter& parameter : model.Parameters()) {
    EXPECT_EQ(parameter.tensor.scalar_type(), at::kFloat) << parameter.name;
    const at::Tensor gradient = parameter.tensor.grad();
    EXPECT_TRUE(gradient.defined()) << parameter.name;
    if (!gradient.defined()) continue;
    EXPECT_EQ(gradient.scalar_type(), at::kFloat) << parameter.name;
    gradients.push_back((gradient.is_sparse() ? gradient.to_dense() : gradient).reshape({-1}));
  }
  return {sums.loss.item<double>(), at::cat(gradients).to(at::kDouble)};
}

TEST_F(PrecisionTest, EverySchemeInEveryTaskIsNearFp32ButNotTheSame) {
  for (const auto& [scheme, task] : SchemesAndTasks()) {
    const Batch batch = SmallBatch(task);
    const ModelConfig config = SmallConfig(task, scheme);
    const Outcome fp32 = LossAndGradient(*SmallModel(In(Precision::kFloat32, config)), batch),
                  bf16 = LossAndGradient(*SmallModel(In(Precision::kBfloat16, config)), batch);
    const double distance = (bf16.gradient - fp32.gradient).norm().item<double>() / fp32.gradient.norm().item<double>();
    EXPECT_NEAR(bf16.loss, fp32.loss, 0.01 * fp32.loss) << scheme << " " << task;
    EXPECT_LT(distance, 0.15) << scheme << " " << task;
    EXPECT_GT(distance, 1e-5) << scheme << " " << task << ": nothing was rounded";
  }
}

// Losses of 50 updates on one batch.
std::vector<double> Losses(const ModelConfig& config) {
  const auto model = SmallModel(config);
  const Batch batch = SmallBatch(config.task);
  Adam adam(model->Parameters(), {});
  std::vector<double> losses;
  for (int update = 0; update < 50; ++update) {
    adam.ZeroGradients();
    const LossSums sums = model->Loss(batch, /*training=*/true);
    sums.loss.backward();
    losses.push_back(sums.loss.item<double>() / static_cast<double>(batch.target_tokens));
    adam.Step(2e-3, static_cast<double>(batch.target_tokens));
  }
  return losses;
}

TEST_F(PrecisionTest, FiftyUpdatesFollowFp32) {
  for (const std::string& task : TaskNames()) {
    ModelConfig config = SmallConfig(task, "b2t");
    config.dropout = 0.1;
    const std::vector<double> fp32 = Losses(In(Precision::kFloat32, config)),
                              bf16 = Losses(In(Precision::kBfloat16, config));
    EXPECT_LT(fp32.back(), 0.8 * fp32.front()) << task << ": it trains";
    for (size_t i = 0; i < fp32.size(); ++i)
      EXPECT_NEAR(bf16[i], fp32[i], 0.03 * fp32.front()) << task << ", update " << i;
    EXPECT_EQ(bf16, Losses(In(Precision::kBfloat16, config))) << task << ": the same bits twice";
  }
}

TEST_F(PrecisionTest, DecodesAsItsOwnLogitsSay) {
  for (const std::string& task : TaskNames()) {
    if (!DescribeTask(task).two_stacks) continue;
    const Batch batch = SmallBatch(task);
    const DecodeOptions greedy{.beam = 1, .max_length_b = 6};
    const auto fp32 = SmallModel(In(Precision::kFloat32, SmallConfig(task, "b2t"))),
               bf16 = SmallModel(In(Precision::kBfloat16, SmallConfig(task, "b2t")));
    const Hypotheses found = bf16->Decode(batch, greedy), exact = fp32->Decode(batch, greedy);
    for (size_t b = 0; b < found.size(); ++b) {
      EXPECT_NEAR(found[b].at(0).positional_scores.at(0), exact[b].at(0).positional_scores.at(0), 0.05) << task;
      EXPECT_NE(found[b].at(0).positional_scores.at(0), exact[b].at(0).positional_scores.at(0))
          << task << ": nothing was rounded";
    }
    // The same hypothesis scored at once by the same model.
    Batch again = batch;
    const std::vector<int64_t>& tokens = found[1].at(0).tokens;
    std::vector<int64_t> input = {kEos};
    input.insert(input.end(), tokens.begin(), tokens.end() - 1);
    again.target_BT = Tokens({tokens, tokens, tokens});
    again.target_input_BT = Tokens({input, input, input});
    const at::Tensor log_p = at::log_softmax(bf16->Logits(again).detach(), -1)[1];
    for (size_t t = 0; t < tokens.size(); ++t) {
      EXPECT_NEAR(log_p[static_cast<int64_t>(t)][tokens[t]].item<double>(), found[1].at(0).positional_scores[t], 2e-2)
          << task;
    }
  }
}

TEST_F(PrecisionTest, IsReadByItsName) {
  EXPECT_EQ(ParsePrecision("fp32"), Precision::kFloat32);
  EXPECT_EQ(ParsePrecision("bf16"), Precision::kBfloat16);
  for (const char* text : {"", "fp16", "BF16"}) EXPECT_THROW(ParsePrecision(text), std::invalid_argument) << text;
}

}  // namespace
}  // namespace strata::model
