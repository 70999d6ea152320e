// Holds every registered scheme, with every task that takes it, to what a model must do.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
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

// One scheme with one choice of its options, in one task that takes it.
struct Subject {
  std::string scheme, options, task;
};
void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.scheme << "(" << subject.options << ") in " << subject.task; }

// Every scheme with its options left alone and, one at a time, with each other choice; numbers at a value of their range.
std::vector<Subject> Subjects() {
  std::vector<Subject> subjects;
  for (const std::string& scheme : SchemeNames()) {
    const SchemeInfo& info = DescribeScheme(scheme);
    std::vector<std::string> choices = {""};
    for (const SchemeOption& option : info.options) {
      for (const std::string& choice : option.choices) {
        if (choice != option.default_value) choices.push_back(option.name + "=" + choice);
      }
      if (option.choices.empty()) choices.push_back(option.name + "=" + std::to_string(std::min(option.max, option.min + 0.7)));
    }
    for (const std::string& task : info.tasks.empty() ? TaskNames() : info.tasks) {
      for (const std::string& choice : choices) subjects.push_back({scheme, choice, task});
    }
  }
  return subjects;
}

std::string NameOfSubject(const ::testing::TestParamInfo<Subject>& info) {
  std::string name = info.param.task + "_" + info.param.scheme + (info.param.options.empty() ? "" : "_" + info.param.options);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

ModelConfig SmallConfig(const Subject& subject) {
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
Batch SmallBatch(const ModelConfig& config) {
  Batch batch;
  batch.target_BT = Tokens({{8, 10, kEos, kPad}, {4, 15, 6, kEos}, {kEos, kPad, kPad, kPad}});
  batch.target_input_BT = Tokens({{kEos, 8, 10, kPad}, {kEos, 4, 15, 6}, {kEos, kPad, kPad, kPad}});
  batch.target_tokens = 8;
  batch.sentences = 3;
  if (config.task == "speech") {
    batch.source_frames = {17, 9, 4};
    batch.source_features_BSF = at::zeros({3, 17, config.feature_bins});
    for (int64_t b = 0; b < 3; ++b) {
      batch.source_features_BSF[b].narrow(0, 0, batch.source_frames[b]).copy_(at::sin(at::arange(batch.source_frames[b] * config.feature_bins, at::kFloat) + b)
                                                                               .view({-1, config.feature_bins}));
    }
  } else if (config.encoder_layers > 0) {
    batch.source_BS = Tokens({{7, 9, 11, 13, kEos}, {5, 6, kEos, kPad, kPad}, {kEos, kPad, kPad, kPad, kPad}});
  }
  return batch;
}

// Sentence b of a batch without its padding.
Batch Alone(const Batch& batch, int64_t b) {
  Batch alone;
  const int64_t target = batch.target_BT[b].ne(kPad).sum().item<int64_t>();
  if (batch.source_BS.defined()) alone.source_BS = batch.source_BS.narrow(0, b, 1).narrow(1, 0, batch.source_BS[b].ne(kPad).sum().item<int64_t>());
  if (batch.source_features_BSF.defined()) {
    alone.source_frames = {batch.source_frames[b]};
    alone.source_features_BSF = batch.source_features_BSF.narrow(0, b, 1).narrow(1, 0, batch.source_frames[b]);
  }
  alone.target_BT = batch.target_BT.narrow(0, b, 1).narrow(1, 0, target);
  alone.target_input_BT = batch.target_input_BT.narrow(0, b, 1).narrow(1, 0, target);
  alone.sentences = 1;
  return alone;
}

class SchemeTest : public ::testing::TestWithParam<Subject> {};

TEST(SchemeRegistryTest, HoldsEverySchemeOfThisBuild) {
  EXPECT_THAT(SchemeNames(), IsSupersetOf({"post_ln", "pre_ln", "b2t", "b2t_all", "b2t_no_ln", "dlcl", "t_fixup", "deepnet", "admin"}));
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
    ModelConfig config = SmallConfig({"post_ln", "", "translation"});
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
      losses.push_back(model->Loss(SmallBatch(config), /*training=*/true).loss.item<double>());
    }
    EXPECT_EQ(losses[0], losses[1]);
    EXPECT_NE(losses[0], losses[2]);
  }
}

TEST_P(SchemeTest, DropsOnlyInTraining) {
  ModelConfig config = SmallConfig(GetParam());
  config.dropout = 0.3;
  const auto model = Make(config);
  const auto loss = [&](bool training) { return model->Loss(SmallBatch(config), training).loss.item<double>(); };
  EXPECT_EQ(loss(false), loss(false));
  EXPECT_NE(loss(true), loss(true));
  EXPECT_NE(loss(true), loss(false));
}

TEST_P(SchemeTest, GradientsReachEveryParameter) {
  const auto model = Make(SmallConfig(GetParam()));
  model->Loss(SmallBatch(model->config()), /*training=*/true).loss.backward();
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
  const Batch batch = SmallBatch(model->config());
  Batch padded = batch;
  const auto pad_left = [](const at::Tensor& rows) { return at::cat({at::full({3, 2}, kPad, at::kLong), rows}, 1); };
  if (batch.source_BS.defined()) padded.source_BS = pad_left(batch.source_BS);
  if (batch.source_features_BSF.defined()) {
    padded.source_features_BSF = at::cat({batch.source_features_BSF, at::zeros({3, 7, model->config().feature_bins})}, 1);
  }
  padded.target_BT = pad_left(batch.target_BT);
  padded.target_input_BT = pad_left(batch.target_input_BT);
  EXPECT_NEAR(model->Loss(batch, false).loss.item<double>(), model->Loss(padded, false).loss.item<double>(), 1e-5);
  // And each sentence alone gives the same logits as in company.
  const at::Tensor together = model->Logits(batch);
  EXPECT_EQ(together.sizes(), at::IntArrayRef({3, 4, kVocabulary}));
  for (int64_t b = 0; b < 3; ++b) {
    const Batch alone = Alone(batch, b);
    const at::Tensor logits = model->Logits(alone)[0];
    EXPECT_LT((logits - together[b].narrow(0, 0, logits.size(0))).abs().max().item<double>(), 1e-5) << b;
  }
}

TEST_P(SchemeTest, TapsGiveEveryLayerAndItsGradient) {
  const auto model = Make(SmallConfig(GetParam()));
  const Batch batch = SmallBatch(model->config());
  LayerTaps taps, plain;
  taps.location_layers = {0, 2};
  const double loss = model->Loss(batch, false, &plain).loss.item<double>();
  const at::Tensor tapped = model->Loss(batch, false, &taps).loss;
  EXPECT_NEAR(tapped.item<double>(), loss, 1e-5 * std::abs(loss));
  EXPECT_EQ(taps.stacks["encoder"].outputs_ND.size(), static_cast<size_t>(model->config().encoder_layers));
  EXPECT_EQ(taps.stacks["decoder"].outputs_ND.size(), 3u);
  for (auto& [name, stack] : taps.stacks) {
    for (at::Tensor& output : stack.outputs_ND) output.retain_grad();
  }
  tapped.backward();
  for (auto& [name, stack] : taps.stacks) {
    for (at::Tensor& output : stack.outputs_ND) EXPECT_GT(output.grad().norm().item<double>(), 0) << name;
  }
}

// A layer that has norms is tapped before and after each, one that has none nowhere.
TEST_P(SchemeTest, LocationsStandAroundEachNorm) {
  const auto model = Make(SmallConfig(GetParam()));
  std::map<std::string, at::Tensor> parameters;
  for (const auto& [name, tensor] : model->Parameters()) parameters[name] = tensor.detach();
  LayerTaps taps;
  taps.location_layers = {1};
  const at::NoGradGuard no_grad;
  model->Loss(SmallBatch(model->config()), false, &taps);
  for (const auto& [stack, seen] : taps.stacks) {
    size_t norms = 0;
    for (const auto& [kind, norm] : {std::pair("self_attention", "self_attn_layer_norm"), {"cross_attention", "encoder_attn_layer_norm"},
                                     {"ffn", "final_layer_norm"}}) {
      const auto gamma = parameters.find(stack + ".layers.1." + norm + ".weight");
      if (gamma == parameters.end()) continue;
      ++norms;
      const auto& locations = seen.locations.at(1);
      const at::Tensor before = locations.at(std::string(kind) + "_before_norm"), after = locations.at(std::string(kind) + "_after_norm");
      const at::Tensor expected =
          at::layer_norm(before, {12}, gamma->second, parameters.at(stack + ".layers.1." + norm + ".bias"), 1e-5);
      EXPECT_LT((after - expected).abs().max().item<double>(), 1e-5) << stack << " " << kind;
    }
    const auto places = seen.locations.find(1);
    EXPECT_EQ(places == seen.locations.end() ? 0 : places->second.size(), 2 * norms) << stack;
  }
}

// Central differences in float64 against the gradient, in a few elements of every parameter.
TEST_P(SchemeTest, GradientsAreThoseOfTheLoss) {
  ModelConfig config = SmallConfig(GetParam());
  config.dropout = config.attention_dropout = config.activation_dropout = 0.2;
  const auto model = Make(config);
  Batch batch = SmallBatch(config);
  if (batch.source_features_BSF.defined()) batch.source_features_BSF = batch.source_features_BSF.to(at::kDouble);
  for (auto& parameter : model->Parameters()) {
    at::Tensor tensor = parameter.tensor;
    tensor.set_data(tensor.detach().to(at::kDouble));
  }
  const auto loss = [&] {
    Seed(77);  // the same masks each time
    return model->Loss(batch, /*training=*/true).loss;
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
  for (const std::string& sharing : DescribeTask(GetParam().task).share_embeddings) {
    ModelConfig config = SmallConfig(GetParam());
    config.share_embeddings = sharing;
    const auto model = Make(config);
    const Batch batch = SmallBatch(config);
    const DecodeOptions options{.beam = 3, .max_length_b = 40, .n_best = 3};
    if (config.encoder_layers == 0) {
      EXPECT_THROW(model->Decode(batch, options), std::logic_error);
      return;
    }
    const Hypotheses found = model->Decode(batch, options);
    ASSERT_EQ(found.size(), 3u);
    const at::NoGradGuard no_grad;
    for (int64_t b = 0; b < 3; ++b) {
      ASSERT_EQ(found[b].size(), 3u);
      for (const Hypothesis& hypothesis : found[b]) {
        Batch forced = Alone(batch, b);
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

// Under depth_scaled_init every scheme starts from the same bits in every weight of the layers.
TEST_P(SchemeTest, DepthScaledInitIsTheSameForEveryScheme) {
  const auto make = [&](const std::string& scheme, const std::string& options, bool rescale) {
    ModelConfig config = SmallConfig({scheme, options, GetParam().task});
    config.depth_scaled_init = true;
    config.rescale_init = rescale;
    Seed(5);
    return CreateModel(config);
  };
  const auto model = make(GetParam().scheme, GetParam().options, false), post_ln = make("post_ln", "", false);
  const auto rescaled = make(GetParam().scheme, GetParam().options, true);
  std::map<std::string, at::Tensor> theirs, smaller;
  for (const auto& [name, tensor] : post_ln->Parameters()) theirs[name] = tensor;
  for (const auto& [name, tensor] : rescaled->Parameters()) smaller[name] = tensor;
  int weights = 0;
  for (const auto& [name, tensor] : model->Parameters()) {
    if (name.find(".layers.") == std::string::npos || tensor.dim() != 2) continue;
    ++weights;
    EXPECT_TRUE(at::equal(tensor, theirs.at(name))) << name;
    const int64_t layer = std::stoll(name.substr(name.find(".layers.") + 8)) + 1;
    const bool joint = name.find("in_proj") != std::string::npos;
    const double fans = joint ? 24 : static_cast<double>(tensor.size(0) + tensor.size(1));
    const double bound = std::sqrt(6 / fans / static_cast<double>(layer)), top = tensor.abs().max().item<double>();
    EXPECT_LE(top, bound) << name;
    EXPECT_GT(top, 0.9 * bound) << name;
    const double layers = name.rfind("encoder", 0) == 0 ? 2 : 3;
    EXPECT_LT((smaller.at(name) * std::sqrt(layers) - tensor).abs().max().item<double>(), 1e-6) << name;
  }
  EXPECT_GE(weights, 12);
}

// Only a scheme that asks for a profile has anything to gain from one; the same batch gives the same again.
TEST_P(SchemeTest, AProfileIsSetOnceAndForAll) {
  const auto model = Make(SmallConfig(GetParam()));
  const auto snapshot = [&] {
    std::vector<at::Tensor> values;
    for (const auto& parameter : model->Parameters()) values.push_back(parameter.tensor.detach().clone());
    return values;
  };
  const std::vector<at::Tensor> before = snapshot();
  model->Profile(SmallBatch(model->config()));
  const std::vector<at::Tensor> once = snapshot();
  model->Profile(SmallBatch(model->config()));
  const std::vector<at::Tensor> twice = snapshot();
  bool changed = false;
  for (size_t i = 0; i < once.size(); ++i) {
    changed |= !at::equal(before[i], once[i]);
    EXPECT_TRUE(at::equal(once[i], twice[i])) << model->Parameters()[i].name;
  }
  EXPECT_EQ(changed, model->NeedsProfile());
  EXPECT_TRUE(std::isfinite(model->Loss(SmallBatch(model->config()), true).loss.item<double>()));
}

INSTANTIATE_TEST_SUITE_P(Registry, SchemeTest, ::testing::ValuesIn(Subjects()), NameOfSubject);

TEST(SchemeOptionsTest, RefusesWhatIsNoOption) {
  for (const auto& [scheme, text, why] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"post_ln", "alpha=1", "It has none"},
           {"b2t_no_ln", "gamma=1", "one of: alpha, beta"},
           {"b2t_no_ln", "alpha", "one of: alpha, beta"},
           {"b2t_no_ln", "alpha=much", "a number from 0 to 10"},
           {"b2t_no_ln", "alpha=-1", "a number from 0 to 10"},
           {"b2t_no_ln", "alpha=nan", "a number from 0 to 10"},
           {"b2t_no_ln", "alpha=1,alpha=2", "twice"},
           {"dlcl", "inner=b2t", "Choose one of: post_ln, pre_ln"},
           {"deepnet", "initialisation=", "Choose one of: paper, torchscale"}}) {
    try {
      SchemeOptions(scheme, text);
      FAIL() << scheme << " " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << scheme << " " << text;
    }
  }
  EXPECT_EQ(SchemeOptions("b2t_no_ln", "beta=0.5").at("alpha"), "auto");
}

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
