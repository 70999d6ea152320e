// Holds every registered scheme, with every task that takes it, to what a model must do.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/decode/beam_search.h"
#include "model/residual/residual_scheme.h"
#include "model/tasks/describe.h"
#include "model/tasks/registry.h"
#include "model/tasks/task.h"

namespace strata::model {
namespace {

using ::testing::HasSubstr;
using ::testing::IsSupersetOf;

// Threads that wait for each other gain nothing on models this small.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

constexpr int64_t kVocabulary = 23;

void Seed(uint64_t seed) {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(seed);
}

ModelConfig SmallConfig(const std::string& scheme) {
  return {.task = "translation",
          .scheme = scheme,
          .encoder_layers = 2,
          .decoder_layers = 3,
          .dim = 12,
          .ffn_dim = 20,
          .heads = 3,
          .vocabulary = kVocabulary,
          .dropout = 0,
          .label_smoothing = 0.1};
}

std::unique_ptr<SequenceModel> Make(const ModelConfig& config, uint64_t seed = 5) {
  Seed(seed);
  auto model = CreateModel(config);
  // Off the special values 0 and 1, so that mix-ups show.
  for (auto& parameter : model->Parameters()) {
    const at::NoGradGuard no_grad;
    if (parameter.tensor.dim() == 1) parameter.tensor.add_(at::randn_like(parameter.tensor) * 0.1);
  }
  return model;
}

at::Tensor Tokens(const std::vector<std::vector<int64_t>>& rows) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : rows) tensors.push_back(at::tensor(row, at::kLong));
  return at::stack(tensors);
}

// Rows of unequal length, one token at least.
Batch SmallBatch() {
  Batch batch;
  batch.source_BS = Tokens({{7, 9, 11, 13, kEos}, {5, 6, kEos, kPad, kPad}, {kEos, kPad, kPad, kPad, kPad}});
  batch.target_BT = Tokens({{8, 10, kEos, kPad}, {4, 5, 6, kEos}, {kEos, kPad, kPad, kPad}});
  batch.target_input_BT = Tokens({{kEos, 8, 10, kPad}, {kEos, 4, 5, 6}, {kEos, kPad, kPad, kPad}});
  batch.target_tokens = 8;
  batch.sentences = 3;
  return batch;
}

class SchemeTest : public ::testing::TestWithParam<std::string> {};

TEST(SchemeRegistryTest, HoldsEverySchemeOfThisBuild) {
  EXPECT_THAT(SchemeNames(), IsSupersetOf({"post_ln", "pre_ln", "b2t"}));
  EXPECT_THAT(TaskNames(), IsSupersetOf({"translation"}));
  EXPECT_THAT(MetricNames(), IsSupersetOf({"bleu"}));
  const nlohmann::json description = Describe();
  EXPECT_EQ(description.at("schemes").size(), SchemeNames().size());
  for (const auto& scheme : description.at("schemes")) {
    EXPECT_FALSE(scheme.at("summary").get<std::string>().empty()) << scheme;
    EXPECT_FALSE(scheme.at("source").get<std::string>().empty()) << scheme;
    EXPECT_FALSE(scheme.at("tasks").empty()) << scheme;
  }
}

TEST(SchemeRegistryTest, NamesWhatItKnowsWhereANameIsUnknown) {
  for (const auto& [field, change] : std::vector<std::pair<std::string, std::function<void(ModelConfig&)>>>{
           {"\"b3t\" is no residual scheme. Choose one of: ", [](ModelConfig& c) { c.scheme = "b3t"; }},
           {"\"poetry\" is no task. Choose one of: ", [](ModelConfig& c) { c.task = "poetry"; }},
           {"has an encoder and a decoder", [](ModelConfig& c) { c.encoder_layers = 0; }},
           {"must be a multiple of model.heads", [](ModelConfig& c) { c.heads = 5; }}}) {
    ModelConfig config = SmallConfig("post_ln");
    change(config);
    try {
      CreateModel(config);
      FAIL() << field;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(field));
    }
  }
}

TEST_P(SchemeTest, IsTheSameBitsForTheSameSeed) {
  for (const double dropout : {0.0, 0.3}) {
    ModelConfig config = SmallConfig(GetParam());
    config.dropout = config.attention_dropout = config.activation_dropout = dropout;
    std::vector<double> losses;
    for (const uint64_t seed : {5, 5, 6}) {
      const auto model = Make(config, seed);
      losses.push_back(model->Loss(SmallBatch(), /*training=*/true).loss.item<double>());
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_NE(losses[0], losses[2]);
  }
}

TEST_P(SchemeTest, DropsOnlyInTraining) {
  ModelConfig config = SmallConfig(GetParam());
  config.dropout = 0.3;
  const auto model = Make(config);
  const auto loss = [&](bool training) { return model->Loss(SmallBatch(), training).loss.item<double>(); };
  EXPECT_EQ(loss(false), loss(false));
  EXPECT_NE(loss(true), loss(true));
  EXPECT_NE(loss(true), loss(false));
}

TEST_P(SchemeTest, GradientsReachEveryParameter) {
  const auto model = Make(SmallConfig(GetParam()));
  model->Loss(SmallBatch(), /*training=*/true).loss.backward();
  for (const auto& [name, tensor] : model->Parameters()) {
    ASSERT_TRUE(tensor.grad().defined()) << name;
    EXPECT_FALSE(tensor.grad().is_sparse()) << name;
    EXPECT_TRUE(at::isfinite(tensor.grad()).all().item<bool>()) << name;
    EXPECT_GT(tensor.grad().abs().max().item<double>(), 1e-7) << name;
  }
}

TEST_P(SchemeTest, FairseqViewsCoverEveryElementOnce) {
  const auto model = Make(SmallConfig(GetParam()));
  std::map<std::string, int64_t> covered;
  for (const NamedView& view : model->FairseqViews()) {
    EXPECT_EQ(view.begin, covered[view.parameter]) << view.name;
    covered[view.parameter] += view.rows;
  }
  for (const auto& [name, tensor] : model->Parameters()) EXPECT_EQ(covered[name], tensor.size(0)) << name;
}

TEST_P(SchemeTest, PaddingChangesNothing) {
  const auto model = Make(SmallConfig(GetParam()));
  const at::NoGradGuard no_grad;
  const Batch batch = SmallBatch();
  Batch padded = batch;
  const auto pad_left = [](const at::Tensor& rows) { return at::cat({at::full({3, 2}, kPad, at::kLong), rows}, 1); };
  padded.source_BS = pad_left(batch.source_BS);
  padded.target_BT = pad_left(batch.target_BT);
  padded.target_input_BT = pad_left(batch.target_input_BT);
  EXPECT_EQ(model->Loss(batch, false).loss.item<double>(), model->Loss(padded, false).loss.item<double>());
  // And each sentence alone gives the same logits as in company.
  const at::Tensor together = model->Logits(batch);
  EXPECT_EQ(together.sizes(), at::IntArrayRef({3, 4, kVocabulary}));
  for (int64_t b = 0; b < 3; ++b) {
    Batch alone;
    const int64_t source = batch.source_BS[b].ne(kPad).sum().item<int64_t>(), target = batch.target_BT[b].ne(kPad).sum().item<int64_t>();
    alone.source_BS = batch.source_BS.narrow(0, b, 1).narrow(1, 0, source);
    alone.target_BT = batch.target_BT.narrow(0, b, 1).narrow(1, 0, target);
    alone.target_input_BT = batch.target_input_BT.narrow(0, b, 1).narrow(1, 0, target);
    EXPECT_LT((model->Logits(alone)[0] - together[b].narrow(0, 0, target)).abs().max().item<double>(), 1e-5) << b;
  }
}

TEST_P(SchemeTest, TapsGiveEveryLayerAndItsGradient) {
  const auto model = Make(SmallConfig(GetParam()));
  LayerTaps taps, plain;
  taps.location_layers = {0, 2};
  const double loss = model->Loss(SmallBatch(), false, &plain).loss.item<double>();
  const at::Tensor tapped = model->Loss(SmallBatch(), false, &taps).loss;
  EXPECT_NEAR(tapped.item<double>(), loss, 1e-5 * std::abs(loss));
  EXPECT_EQ(taps.stacks.at("encoder").outputs_ND.size(), 2u);
  EXPECT_EQ(taps.stacks.at("decoder").outputs_ND.size(), 3u);
  for (auto& [name, stack] : taps.stacks) {
    for (at::Tensor& output : stack.outputs_ND) output.retain_grad();
  }
  tapped.backward();
  for (auto& [name, stack] : taps.stacks) {
    for (at::Tensor& output : stack.outputs_ND) EXPECT_GT(output.grad().norm().item<double>(), 0) << name;
  }
}

// Central differences in float64 against the gradient, in a few elements of every parameter.
TEST_P(SchemeTest, GradientsAreThoseOfTheLoss) {
  ModelConfig config = SmallConfig(GetParam());
  config.dropout = config.attention_dropout = config.activation_dropout = 0.2;
  const auto model = Make(config);
  for (auto& parameter : model->Parameters()) {
    at::Tensor tensor = parameter.tensor;
    tensor.set_data(tensor.detach().to(at::kDouble));
  }
  const auto loss = [&] {
    Seed(77);  // the same masks each time
    return model->Loss(SmallBatch(), /*training=*/true).loss;
  };
  loss().backward();
  constexpr double kStep = 1e-6;
  for (auto& [name, tensor] : model->Parameters()) {
    const at::Tensor flat = tensor.detach().view({-1}), gradient = tensor.grad().reshape({-1});
    for (int64_t probe = 0; probe < 4; ++probe) {
      const int64_t i = (probe * 7919 + 13) % flat.numel();
      at::Tensor element = flat.narrow(0, i, 1);
      const at::NoGradGuard no_grad;
      const double before = element.item<double>();
      element.fill_(before + kStep);
      const double up = loss().item<double>();
      element.fill_(before - kStep);
      const double down = loss().item<double>();
      element.fill_(before);
      const double expected = (up - down) / (2 * kStep), got = gradient[i].item<double>();
      EXPECT_NEAR(got, expected, 1e-6 + 1e-5 * std::abs(expected)) << name << "[" << i << "]";
    }
  }
}

// The score of what beam search finds is what a whole forward pass gives the same tokens: cached keys and values are right.
TEST_P(SchemeTest, DecodingAgreesWithTheForwardPass) {
  for (const char* sharing : {"all", "decoder", "none"}) {
    ModelConfig config = SmallConfig(GetParam());
    config.share_embeddings = sharing;
    const auto model = Make(config);
    const Batch batch = SmallBatch();
    const Hypotheses found = model->Decode(batch, {.beam = 3, .max_length_b = 40, .n_best = 3});
    ASSERT_EQ(found.size(), 3u);
    const at::NoGradGuard no_grad;
    for (int64_t b = 0; b < 3; ++b) {
      ASSERT_EQ(found[b].size(), 3u);
      for (const Hypothesis& hypothesis : found[b]) {
        Batch forced;
        forced.source_BS = batch.source_BS.narrow(0, b, 1);
        std::vector<int64_t> input = hypothesis.tokens;
        input.insert(input.begin(), kEos);
        input.pop_back();
        forced.target_BT = Tokens({hypothesis.tokens});
        forced.target_input_BT = Tokens({input});
        const at::Tensor log_p = at::log_softmax(model->Logits(forced)[0], -1);
        ASSERT_EQ(hypothesis.tokens.back(), kEos);
        ASSERT_GE(hypothesis.tokens.size(), 2u);
        ASSERT_LE(hypothesis.tokens.size(), 41u);
        for (size_t t = 0; t < hypothesis.tokens.size(); ++t) {
          EXPECT_NEAR(log_p[t][hypothesis.tokens[t]].item<double>(), hypothesis.positional_scores[t], 1e-4) << b << ":" << t;
        }
      }
    }
  }
}

TEST_P(SchemeTest, RescaleInitShrinksTheLayersWeightsOnly) {
  ModelConfig config = SmallConfig(GetParam());
  Seed(5);
  const auto plain = CreateModel(config);
  config.rescale_init = true;
  Seed(5);
  const auto rescaled = CreateModel(config);
  const auto before = plain->Parameters(), after = rescaled->Parameters();
  for (size_t i = 0; i < before.size(); ++i) {
    const std::string& name = before[i].name;
    const bool weight = name.find(".layers.") != std::string::npos && before[i].tensor.dim() == 2;
    const double layers = name.rfind("encoder", 0) == 0 ? 2 : 3;
    const at::Tensor expected = weight ? before[i].tensor / std::sqrt(layers) : before[i].tensor;
    EXPECT_LT((after[i].tensor - expected).abs().max().item<double>(), 1e-6) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, SchemeTest, ::testing::ValuesIn(SchemeNames()), [](const auto& info) { return info.param; });

// A model that knows one sentence: log-probabilities by step, the same for every hypothesis.
class ScriptedModel final : public StepModel {
 public:
  explicit ScriptedModel(std::vector<std::vector<float>> steps) : steps_(std::move(steps)) {}
  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) override {
    const auto& row = steps_[std::min(step_++, steps_.size() - 1)];
    return at::tensor(row).unsqueeze(0).repeat({static_cast<int64_t>(tokens.size()), 1});
  }

 private:
  std::vector<std::vector<float>> steps_;
  size_t step_ = 0;
};

TEST(BeamSearchTest, ForcesEosAtTheLimitAndNeverBeginsWithIt) {
  // eos (2) is by far the likeliest at once, then never.
  ScriptedModel model({{-9, -9, 9, -9, 1, 0}, {-9, 9, -20, -9, 1, 0}});
  const Hypotheses found = BeamSearch(model, {4}, {.beam = 2, .max_length_a = 0.5, .max_length_b = 1, .n_best = 2});
  ASSERT_EQ(found[0].size(), 2u);
  EXPECT_THAT(found[0][0].tokens, ::testing::ElementsAre(4, 4, 4, kEos));
  EXPECT_THAT(found[0][1].tokens, ::testing::SizeIs(4));
}

TEST(BeamSearchTest, RefusesOptionsThatMakeNoSense) {
  ScriptedModel model({{0, 0, 0, 0, 0}});
  for (const DecodeOptions& options : {DecodeOptions{.beam = 0}, DecodeOptions{.beam = 2, .n_best = 3}, DecodeOptions{.max_length_a = -1}}) {
    EXPECT_THROW(BeamSearch(model, {3}, options), std::invalid_argument);
  }
}

}  // namespace
}  // namespace strata::model
