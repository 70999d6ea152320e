// The registry of schemes: what it holds, what it refuses; and the beam search that every scheme decodes by.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <tuple>
#include <utility>
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

TEST(SchemeRegistryTest, HoldsEverySchemeOfThisBuild) {
  EXPECT_THAT(SchemeNames(), IsSupersetOf({"post_ln", "pre_ln", "b2t", "b2t_all", "b2t_no_ln", "dlcl", "t_fixup",
                                           "deepnet", "admin"}));
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
    ModelConfig config{.dim = 12, .ffn_dim = 20, .heads = 3, .vocabulary = 23};
    change(config);
    try {
      CreateModel(config);
      FAIL() << field;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(field));
    }
  }
}

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
  for (const DecodeOptions& options :
       {DecodeOptions{.beam = 0}, DecodeOptions{.beam = 2, .n_best = 3}, DecodeOptions{.max_length_a = -1}}) {
    EXPECT_THROW(BeamSearch(model, {3}, options), std::invalid_argument);
  }
}

}  // namespace
}  // namespace strata::model
