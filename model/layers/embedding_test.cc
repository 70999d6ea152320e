// Embeddings, adaptive and plain, and their losses.
#include "model/layers/embedding.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "model/layers/adaptive.h"
#include "model/tasks/testing.h"

namespace strata::model {
namespace {

using ::testing::HasSubstr;

[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

ModelConfig AdaptiveConfig() {
  return {.task = "language_model", .dim = 8, .vocabulary = 20, .adaptive_cutoffs = {6, 11}, .adaptive_factor = 2};
}

// In float64, so that what is compared is the formula.
struct Adaptive {
  explicit Adaptive(const ModelConfig& config) : vocabulary(config, store) {
    store.Draw(3);
    for (auto& parameter : store.parameters()) parameter.tensor.set_data(parameter.tensor.detach().to(at::kDouble));
  }
  at::Tensor operator[](const std::string& name) const {
    for (const auto& parameter : store.parameters()) {
      if (parameter.name == name) return parameter.tensor;
    }
    return {};
  }
  ParameterStore store;
  AdaptiveVocabulary vocabulary;
};

TEST(SmoothingTest, SpreadsOverAllOrOverTheOthers) {
  Seed(1);
  const at::Tensor x = at::randn({5, 4}, at::kDouble).set_requires_grad(true),
                   table = at::randn({7, 4}, at::kDouble).set_requires_grad(true);
  const at::Tensor targets = Ids({3, kPad, 6, 0, 2}), real = Ids({0, 2, 3, 4});
  for (const bool others : {false, true}) {
    const LossSums sums = ProjectedLoss(x, table, targets, {.epsilon = 0.2, .over_others = others}, Precision::kFloat32);
    const at::Tensor log_p = at::log_softmax(at::mm(x, table.t()), 1).index_select(0, real);
    const at::Tensor nll = -log_p.gather(1, targets.index_select(0, real).unsqueeze(1)).sum();
    // fairseq 0.12: (1 - eps - eps / (V - 1)) nll + eps / (V - 1) sum over all.
    const double each = others ? 0.2 / 6 : 0.2 / 7;
    const at::Tensor expected = (1 - 0.2 - (others ? each : 0)) * nll - each * log_p.sum();
    EXPECT_NEAR(sums.loss.item<double>(), expected.item<double>(), 1e-12);
    EXPECT_NEAR(sums.nll.item<double>(), nll.item<double>(), 1e-12);
    x.mutable_grad() = table.mutable_grad() = at::Tensor();
    sums.loss.backward();
    const at::Tensor d_x = x.grad().clone(), d_table = table.grad().clone();
    x.mutable_grad() = table.mutable_grad() = at::Tensor();
    expected.backward();
    EXPECT_LT((d_x - x.grad()).abs().max().item<double>(), 1e-12);
    EXPECT_LT((d_table - table.grad()).abs().max().item<double>(), 1e-12);
  }
}

TEST(WordDropoutTest, DropsWholeWordsAtItsRateButNotTheFirst) {
  const at::Tensor tokens = at::full({100, 50}, 5, at::kLong);
  const Packing packing = Pack(tokens);
  const at::Tensor kept = KeptWords(packing, {.rate = 0.3, .seed = 7}, /*keep_first=*/true).view({100, 50});
  EXPECT_TRUE(kept.eq(0).logical_or(kept.eq(1)).all().item<bool>());
  EXPECT_EQ(kept.select(1, 0).sum().item<double>(), 100);
  // 4900 draws: four standard deviations are 0.026.
  EXPECT_NEAR(kept.narrow(1, 1, 49).mean().item<double>(), 0.7, 0.026);
  const at::Tensor all = KeptWords(packing, {.rate = 0.3, .seed = 7}, /*keep_first=*/false).view({100, 50});
  EXPECT_NEAR(all.select(1, 0).mean().item<double>(), 0.7, 0.19);
  EXPECT_TRUE(at::equal(all.narrow(1, 1, 49), kept.narrow(1, 1, 49)));
  EXPECT_FALSE(at::equal(all, KeptWords(packing, {.rate = 0.3, .seed = 8}, false).view({100, 50})));
  EXPECT_FALSE(KeptWords(packing, {}, false).defined());
}

TEST(WordDropoutTest, ZeroesTheEmbeddingAndLeavesThePosition) {
  const at::Tensor table = at::randn({9, 6}).set_requires_grad(true), kept = at::tensor(std::vector<float>{1, 0, 1});
  Positions positions(6);
  const Packing packing = Pack(Ids({4, 5, 6}).unsqueeze(0));
  const at::Tensor x = Embed(table, packing, positions, {}, /*tied=*/false, kept),
                   plain = Embed(table, packing, positions, {}, false);
  EXPECT_TRUE(at::equal(x[1], positions.Table(5)[3]));
  EXPECT_TRUE(at::equal(x[0], plain[0]));
  EXPECT_TRUE(at::equal(x[2], plain[2]));
  x.sum().backward();
  EXPECT_EQ(table.grad()[5].abs().sum().item<float>(), 0);
  EXPECT_NE(table.grad()[4].abs().sum().item<float>(), 0);
}

TEST(AdaptiveVocabularyTest, LossIsThatOfTheWholeDistribution) {
  const Adaptive adaptive(AdaptiveConfig());
  Seed(2);
  const at::Tensor x = at::randn({21, 8}, at::kDouble).set_requires_grad(true);
  // Every piece is a target once, those whose number in their band is the padding's too; the last one is context only.
  at::Tensor targets = at::arange(21, at::kLong);
  targets[20] = kPad;
  const at::Tensor log_p = adaptive.vocabulary.LogProbabilities(x);
  EXPECT_LT((log_p.exp().sum(1) - 1).abs().max().item<double>(), 1e-12);
  Pass pass(/*training=*/false, nullptr);
  const LossSums sums = adaptive.vocabulary.Loss(x, targets, pass);
  const at::Tensor real = targets.ne(kPad).nonzero().squeeze(1);
  ASSERT_EQ(real.numel(), 19);
  const at::Tensor expected = -log_p.index_select(0, real).gather(1, targets.index_select(0, real).unsqueeze(1)).sum();
  EXPECT_NEAR(sums.nll.item<double>(), expected.item<double>(), 1e-10);
  EXPECT_NEAR(sums.loss.item<double>(), expected.item<double>(), 1e-10);
  std::vector<at::Tensor> inputs = {x}, ours, theirs;
  for (const auto& parameter : adaptive.store.parameters()) inputs.push_back(parameter.tensor);
  const auto gradients = [&](const at::Tensor& loss) {
    std::vector<at::Tensor> result;
    for (const at::Tensor& input : inputs) input.mutable_grad() = at::Tensor();
    loss.backward();
    for (const at::Tensor& input : inputs)
      result.push_back(input.grad().defined() ? input.grad().clone() : at::zeros_like(input));
    return result;
  };
  ours = gradients(sums.loss);
  theirs = gradients(expected);
  for (size_t i = 0; i < inputs.size(); ++i) EXPECT_LT((ours[i] - theirs[i]).abs().max().item<double>(), 1e-10) << i;
}

TEST(AdaptiveVocabularyTest, EmbedsEachBandByItsOwnTable) {
  const Adaptive adaptive(AdaptiveConfig());
  Positions positions(8);
  const Packing packing = Pack(Ids({12, 2, 7, 19, 5, 6}).unsqueeze(0));
  const at::Tensor x = adaptive.vocabulary.Embed(packing, positions, {}, {});
  const auto row = [&](int64_t band, int64_t number) {
    const std::string name = "decoder.embed_tokens.embeddings." + std::to_string(band);
    return at::mv(adaptive[name + ".1.weight"], adaptive[name + ".0.weight"][number]) * std::sqrt(8.0);
  };
  const at::Tensor expected = at::stack({row(2, 1), row(0, 2), row(1, 1), row(2, 8), row(0, 5), row(1, 0)}) +
                              positions.Table(8).narrow(0, 2, 6);
  EXPECT_LT((x - expected).abs().max().item<double>(), 1e-12);
}

// A band that has neither token nor target still has a dense gradient, as the optimiser needs.
TEST(AdaptiveVocabularyTest, GradientsAreDenseWhereABandIsNotUsed) {
  const Adaptive adaptive(AdaptiveConfig());
  Positions positions(8);
  Pass pass(/*training=*/true, nullptr);
  const Packing packing = Pack(Ids({2, 4, 5}).unsqueeze(0));
  const at::Tensor x = adaptive.vocabulary.Embed(packing, positions, {}, {});
  adaptive.vocabulary.Loss(x, Ids({4, 5, 2}), pass).loss.backward();
  for (const auto& parameter : adaptive.store.parameters()) {
    ASSERT_TRUE(parameter.tensor.grad().defined()) << parameter.name;
    EXPECT_FALSE(parameter.tensor.grad().is_sparse()) << parameter.name;
  }
}

TEST(AdaptiveVocabularyTest, DropsInTheFurtherBandsInTrainingOnly) {
  ModelConfig config = AdaptiveConfig();
  config.adaptive_softmax_dropout = 0.5;
  const Adaptive adaptive(config);
  const at::Tensor x = at::ones({1, 8}, at::kDouble);
  const auto loss = [&](int64_t target, bool training) {
    Seed(4);
    Pass pass(training, nullptr);
    return adaptive.vocabulary.Loss(x, Ids({target}), pass).loss.item<double>();
  };
  EXPECT_EQ(loss(4, true), loss(4, false));
  EXPECT_NE(loss(8, true), loss(8, false));
  EXPECT_NE(loss(15, true), loss(15, false));
}

TEST(AdaptiveVocabularyTest, RefusesCutoffsThatMakeNoBands) {
  for (const auto& [change, why] : std::vector<std::pair<std::function<void(ModelConfig&)>, std::string>>{
           {[](ModelConfig& c) {
              c.adaptive_cutoffs = {6, 20};
            },
            "model.adaptive_cutoffs is 6,20, but the dataset's vocabulary has 20 pieces"},
           {[](ModelConfig& c) {
              c.adaptive_cutoffs = {6, 30};
            },
            "every cut-off must be below that"},
           {[](ModelConfig& c) { c.adaptive_cutoffs = {3}; }, "Begin with a cut-off above that"},
           {[](ModelConfig& c) {
              c.adaptive_cutoffs = {8, 8};
            },
            "cut-offs ascend"},
           {[](ModelConfig& c) { c.adaptive_factor = 4; }, "the last would have no width"},
           {[](ModelConfig& c) { c.adaptive_factor = 0; }, "model.adaptive_factor is 0"}}) {
    ModelConfig config = AdaptiveConfig();
    change(config);
    ParameterStore store;
    try {
      AdaptiveVocabulary vocabulary(config, store);
      ADD_FAILURE() << why;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  }
}

}  // namespace
}  // namespace strata::model
