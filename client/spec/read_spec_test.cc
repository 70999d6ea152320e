#include "client/spec/read_spec.h"

#include <fstream>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kRegistry[] = R"({"schemes": [{"name": "post_ln"}, {"name": "pre_ln"}, {"name": "b2t"}],
  "tasks": [{"name": "translation"}], "metrics": [{"name": "bleu"}]})";

constexpr char kGrid[] = R"(experiment: depth-by-scheme
task: {kind: translation, dataset: debian-en-de}
model: {dim: 64, ffn_dim: 256, heads: 4, share_embeddings: all, dropout: 0.1}
train: {updates: 600, max_tokens: 1024, learning_rate: 1e-3, warmup: 400, validate_every: 50, on_divergence: stop}
evaluate: [{metric: bleu, beam: 4, sentences: 200}]
grid: {scheme: [post_ln, pre_ln, b2t], depth: [3L-3L, 18L-18L], seed: [1], train.learning_rate: [1e-3, 0.0005]}
include: [{scheme: b2t, depth: 50L-50L, model.rescale_init: true}]
exclude: [{scheme: post_ln, depth: 18L-18L}]
overrides: [{when: {scheme: b2t}, set: {train.warmup: 500}}]
)";

std::string Values(const v1::Axis& axis) { return axis.field() + "=" + absl::StrJoin(axis.values(), ","); }

// The values of `path` in the spec as submitted: the axis if it is one, else the base's.
std::string Given(const v1::ExperimentSpec& spec, const std::string& path) {
  for (const v1::Axis& axis : spec.axes()) {
    if (axis.field() == path) return Values(axis);
  }
  return *base::GetField(spec.base(), path);
}

TEST(ReadSpecTest, ReadsTheWholeForm) {
  const auto spec = ReadSpec(kGrid, "grid.yaml", {}, kRegistry);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->experiment(), "depth-by-scheme");
  EXPECT_EQ(spec->base().train().learning_rate(), 1e-3);
  EXPECT_FALSE(spec->base().train().has_clip_norm()) << "what is not given stays unset";
  EXPECT_EQ(spec->base().evaluate(0).beam(), 4);
  std::vector<std::string> axes;
  for (const v1::Axis& axis : spec->axes()) axes.push_back(Values(axis));
  EXPECT_THAT(axes, ElementsAre("model.scheme=post_ln,pre_ln,b2t", "model.depth=3L-3L,18L-18L", "train.seed=1",
                                "train.learning_rate=0.001,0.0005"));
  EXPECT_EQ(spec->include(0).settings(2).field(), "model.rescale_init");
  EXPECT_EQ(spec->exclude(0).settings(1).value(), "18L-18L");
  EXPECT_EQ(spec->overrides(0).when(0).value(), "b2t");
  EXPECT_EQ(spec->overrides(0).set(0).value(), "500");
}

TEST(ReadSpecTest, RanksAreANumberOrBounds) {
  const std::string head = "experiment: x\npriority: -5\ntask: {kind: translation, dataset: d}\ntrain: {updates: 5}\n"
                           "model: {scheme: b2t, depth: 3L-3L}\n";
  const auto elastic = ReadSpec(head + "resources: {ranks: {min: 2, max: 4}, threads: 3}\n", "f", {}, kRegistry);
  ASSERT_TRUE(elastic.ok()) << elastic.status();
  EXPECT_EQ(elastic->priority(), -5);
  EXPECT_EQ(elastic->base().resources().ranks(), 4);
  EXPECT_EQ(elastic->base().resources().min_ranks(), 2);
  EXPECT_EQ(elastic->base().resources().threads(), 3);
  const auto rigid = ReadSpec(head + "resources: {ranks: 4}\n", "f", {}, kRegistry);
  EXPECT_FALSE(rigid->base().resources().has_min_ranks());
  const auto set = ReadSpec(head + "overrides: [{set: {resources.ranks: {min: 1, max: 2}}}]\n", "f",
                            {"resources.ranks={min: 4, max: 8}"}, kRegistry);
  ASSERT_TRUE(set.ok()) << set.status();
  EXPECT_EQ(set->base().resources().min_ranks(), 4);
  EXPECT_EQ(set->overrides(0).set_size(), 2);
  EXPECT_EQ(set->overrides(1).set(1).value(), "4");
}

TEST(ReadSpecTest, RefusesWithLineAndRemedy) {
  const std::string head = "experiment: x\ntask: {kind: translation, dataset: d}\ntrain: {updates: 5}\n";
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {"", "grid.yaml: the file is empty"},
           {"- a\n", "grid.yaml:1: Expected keys and values of an experiment"},
           {"a: [1\n", "This is not YAML"},
           {"experiment: x\n---\nexperiment: y\n", "A file holds one experiment"},
           {"task: {kind: translation}\n", "grid.yaml: experiment is missing"},
           {"experiment: My Grid\n", "grid.yaml:1: experiment: \"My Grid\" is no name"},
           {"experiment: [a]\n", "is no name"},
           {head + "priority: 200\n", "grid.yaml:4: priority: \"200\" is no whole number from -100 to 100"},
           {head + "resources: {ranks: {min: 4, max: 2}}\n", "grid.yaml:4: ranks: min is 4, but max is 2"},
           {head + "resources:\n  ranks: {min: 2}\n", "grid.yaml:5: ranks: max is missing. Write both"},
           {head + "resources:\n  ranks: {min: 2, most: 4}\n", "grid.yaml:5: \"most\" is no key of ranks"},
           {head + "resources:\n  ranks: {min: two, max: 4}\n", "grid.yaml:5: ranks: min is no whole number"},
           {head + "grid: {resources.ranks: [{min: 1, max: 2}]}\n", "resources.ranks is one value, not a map"},
           {head + "modle: {dim: 3}\n", "grid.yaml:4: \"modle\" is no key of an experiment. Do you mean model?"},
           {head + "learning_rate: 3\n", "It stands under train."},
           {head + "model: {dimm: 3}\n", "grid.yaml:4: \"dimm\" is no key of model. Do you mean dim?"},
           {head + "model: {warmup: 3}\n", "\"warmup\" is no key of model. It stands under train."},
           {head + "model: {dim: 64, dim: 32}\n", "grid.yaml:4: \"dim\" stands twice in model"},
           {head + "train: {warmup: 3}\n", "grid.yaml:4: \"train\" stands twice"},
           {head + "model:\n  dim: wide\n", "grid.yaml:5: model.dim: \"wide\" is not a whole number from 2 to 16384."},
           {head + "model: {dim: \"64\"}\n", "is a text, because it is in quotes"},
           {head + "model: {dim: [64]}\n", "model.dim is one value, not a list"},
           {head + "model: {dim: {a: 1}}\n", "not a map"},
           {head + "model: {dim: }\n", "model.dim has no value"},
           {head + "model: {dim: 64.0}\n", "is not a whole number"},
           {head + "model: 64\n", "grid.yaml:4: Expected keys and values of model"},
           {head + "model: {rescale_init: yes}\n", "is not true or false"},
           {head + "model: {dropout: -0.1}\n", "model.dropout: \"-0.1\" is not a number from 0 to below 1."},
           {head + "model: {scheme: post-ln}\n", "Do you mean post_ln?"},
           {head + "model: {depth: 18L18L}\n",
            "grid.yaml:4: depth: \"18L18L\" is no depth. Write encoder and decoder layers as 18L-18L, or one stack as "
            "16L."},
           {head + "grid:\n  scheme: [b2t]\n  depth:\n    - 3L-3L\n    - 0L-3L\n",
            "grid.yaml:8: depth: \"0L-3L\" has a stack of no layers"},
           {head + "grid: {scheme: b2t}\n", "grid: scheme is no list. Write its values as [b2t]."},
           {head + "grid: {scheme: []}\n", "grid: scheme has no values"},
           {head + "grid: {scheme: [b2t, b2t]}\n", "grid: scheme has b2t twice"},
           {head + "grid: {scheme: [b2t], model.scheme: [b2t]}\n", "model.scheme is an axis already"},
           {head + "grid: {train: {warmup: [3]}}\n", "\"train\" is a section. Write the field's path"},
           {head + "grid: {shceme: [b2t]}\n", "Do you mean scheme?"},
           {head + "grid: {seed: [1, -1]}\n", "train.seed: \"-1\""},
           {head + "evaluate: {metric: bleu}\n", "evaluate is a list"},
           {head + "evaluate: [{beam: 4}]\n", "evaluate[0].metric is missing"},
           {head + "evaluate: [{metric: blue}]\n", "Do you mean bleu?"},
           {head + "evaluate: [{metric: bleu, baem: 4}]\n", "Do you mean beam?"},
           {head + "exclude: [{}]\n", "exclude has an empty cell"},
           {head + "exclude: [{seed: [1]}]\n", "train.seed is one value, not a list"},
           {head + "overrides: [{wehn: {seed: 1}}]\n", "is no key of an override"},
           {head + "overrides: [{when: {seed: 1}}]\n", "An override sets nothing"},
           {head + "overrides: [{set: {seed: 1, train.seed: 2}}]\n", "train.seed stands here twice"},
           {head + "grid: {scheme: [b2t]}\n",
            "grid.yaml: model.depth is missing. Write depth: 18L-18L under model, or make it an axis"}}) {
    const auto spec = ReadSpec(text, "grid.yaml", {}, kRegistry);
    EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(spec.status().message()), HasSubstr(message)) << text;
  }
}

TEST(ReadSpecTest, TakesMapsOfPairsProbesAndExtensions) {
  const std::string text =
      "experiment: x\ntask: {kind: translation, dataset: d}\nmodel: {scheme: b2t, depth: 3L-3L, "
      "scheme_options: {beta: 0.30, alpha: 1e-1}}\ntrain: {updates: 3}\nprobe_only: true\nextends: base-1\n"
      "evaluate: [{metric: bleu, split: 'a, b', length_penalties: {b: 0.6}}]\n";
  const auto spec = ReadSpec(text, "grid.yaml", {"model.scheme_options={alpha: 2}"}, kRegistry);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->probe_only());
  EXPECT_EQ(spec->extends(), "experiments/base-1");
  EXPECT_EQ(spec->base().model().scheme_options(), "alpha=2");
  EXPECT_EQ(spec->base().evaluate(0).split(), "a,b");
  EXPECT_EQ(spec->base().evaluate(0).length_penalties(), "b=0.6");
  EXPECT_EQ(ReadSpec(text, "grid.yaml", {}, kRegistry)->base().model().scheme_options(), "alpha=0.1,beta=0.3");
  for (const auto& [line, message] : std::vector<std::pair<std::string, std::string>>{
           {"probe_only: yes\n", "probe_only: \"yes\" is neither true nor false"},
           {"extends: No One\n", "extends: \"No One\" is no experiment"},
           {"model: {scheme_options: {a: [1]}}\n", "a is one value"},
           {"model: {scheme_options: a}\n", "which is no NAME=VALUE"}}) {
    EXPECT_THAT(std::string(ReadSpec("experiment: y\n" + line, "grid.yaml", {}, kRegistry).status().message()),
                HasSubstr(message));
  }
}

TEST(ReadSpecTest, ChangesASpecThatWasReadBefore) {
  const auto spec = ReadSpec(kGrid, "grid.yaml", {}, kRegistry);
  ASSERT_TRUE(spec.ok());
  const auto changed = ChangeSpec(*spec, {"train.updates=900", "seed=[1, 2]"}, kRegistry);
  ASSERT_TRUE(changed.ok()) << changed.status();
  EXPECT_EQ(changed->base().train().updates(), 900);
  EXPECT_EQ(Given(*changed, "train.seed"), "train.seed=1,2");
  EXPECT_FALSE(ChangeSpec(*spec, {"train.updates=x"}, kRegistry).ok());
}

TEST(SetTest, ChangesAllTrials) {
  const auto spec = ReadSpec(
      kGrid, "grid.yaml", {"train.updates=20", "depth=18L-18L", "scheme=[post_ln, b2t]", "train.warmup=7"}, kRegistry);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->base().train().updates(), 20);
  EXPECT_EQ(Given(*spec, "model.depth"), "18L-18L") << "a single value takes the axis away";
  EXPECT_EQ(Given(*spec, "model.scheme"), "model.scheme=post_ln,b2t");
  const v1::Override& last = spec->overrides(spec->overrides_size() - 1);
  EXPECT_TRUE(last.when().empty());
  EXPECT_EQ(last.set(0).field(), "train.warmup") << "it beats the file's override";
}

TEST(SetTest, RefusesNamingTheArgument) {
  for (const auto& [setting, message] : std::vector<std::pair<std::string, std::string>>{
           {"train.updates", "--set train.updates is no setting. Write PATH=VALUE"},
           {"=3", "is no setting"},
           {"train.updtaes=3",
            "--set train.updtaes=3: There is no field \"train.updtaes\". Do you mean train.updates?"},
           {"train.updates=0", "--set train.updates=0: train.updates: \"0\" is not a whole number"},
           {"train.updates=", "has no value"},
           {"depth=3", "is no depth"},
           {"evaluate[3].beam=2", "asks for only 1"}}) {
    const auto spec = ReadSpec(kGrid, "grid.yaml", {setting}, kRegistry);
    EXPECT_THAT(std::string(spec.status().message()), HasSubstr(message)) << setting;
  }
}

TEST(ReadSpecTest, NamesAFileThatIsNotThere) {
  EXPECT_EQ(ReadSpecFile("/nowhere/grid.yaml", {}, "").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace strata::client
