#include "client/spec/explain.h"

#include "client/spec/read_spec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using testing::HasSubstr;

constexpr char kRegistry[] =
    R"({"schemes": [{"name": "b2t", "summary": "Bottom-to-top.", "source": "Eq. 5", "tasks": ["translation"],
   "options": [{"name": "alpha", "summary": "Of the branch.", "default": "auto", "min": 0, "max": 10},
               {"name": "inner", "summary": "Which.", "default": "pre", "choices": ["pre", "post"]}]}],
  "tasks": [{"name": "translation"}], "metrics": [{"name": "bleu"}]})";

TEST(ExplainTest, SaysWhatAFieldMeansAndTakes) {
  for (const auto& [key, text] : std::vector<std::pair<std::string, std::string>>{
           {"train.warmup", "Updates of linear warm-up"},
           {"train.warmup", "default   4000"},
           {"seed", "--set seed=1"},
           {"scheme", "Bottom-to-top."},
           {"b2t", "Eq. 5"},
           {"b2t", "alpha          Of the branch. (0 to 10; default auto)"},
           {"model.scheme_options", "one of pre, post; default pre"},
           {"train.time_masks", "speech only"},
           {"probe_only", "nothing is trained"},
           {"extends", "same weights"},
           {"evaluate.beam", "Beam size"},
           {"beam", "evaluate[0].beam"},
           {"train", "learning_rate"},
           {"exclude", "Cells taken out"},
           {"", "gradient_norms_every"},
           {"model.depth", "required"}}) {
    const auto explained = ExplainKey(key, kRegistry);
    ASSERT_TRUE(explained.ok()) << key << explained.status();
    EXPECT_THAT(*explained, HasSubstr(text)) << key;
  }
  EXPECT_THAT(std::string(ExplainKey("train.warmpu", kRegistry).status().message()), HasSubstr("train.warmup"));
  EXPECT_THAT(std::string(ExplainKey("b2tt", kRegistry).status().message()), HasSubstr("b2t"));
}

TEST(ExampleTest, IsASpecThatCanBeSubmitted) {
  const auto spec = ReadSpec(ExampleSpec(), "example.yaml", {}, "");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->base().model().dim(), 64);
  EXPECT_EQ(spec->base().evaluate(0).sentences(), 200);
  EXPECT_EQ(spec->axes_size(), 3);
}

// With every '#' before a default taken away the example still reads, and every value is the default that it shows.
TEST(ExampleTest, ShowsDefaultsThatRead) {
  std::string text = ExampleSpec();
  for (size_t at = text.find("\n#  "); at != std::string::npos; at = text.find("\n#  ", at)) text.erase(at + 1, 2);
  for (const char* section : {"diagnostics", "resources"}) {
    const size_t at = text.find(std::string("# ") + section + ":");
    ASSERT_NE(at, std::string::npos);
    text.erase(at, 2);
  }
  const auto spec = ReadSpec(text, "example.yaml", {}, "");
  ASSERT_TRUE(spec.ok()) << spec.status() << text;
  v1::TrialSpec filled = spec->base();
  base::SetField(filled, "scheme", "b2t").IgnoreError();
  base::SetField(filled, "depth", "3L-3L").IgnoreError();
  base::SetField(filled, "seed", "1").IgnoreError();
  const std::string before = filled.SerializeAsString();
  ASSERT_TRUE(base::ApplyDefaults(filled).ok());
  EXPECT_EQ(filled.SerializeAsString(), before) << "a field has no line in the example";
}

TEST(SchemaTest, HasEveryFieldAndIsClosed) {
  const auto schema = nlohmann::json::parse(JsonSchema(kRegistry));
  EXPECT_EQ(schema["additionalProperties"], false);
  for (const base::Field& field : base::AllFields()) {
    const auto& section = schema["properties"][field.section];
    const auto& properties = field.item < 0 ? section["properties"] : section["items"]["properties"];
    ASSERT_TRUE(properties.contains(field.descriptor->name())) << field.path;
    EXPECT_TRUE(schema["properties"]["grid"]["properties"].contains(field.path)) << field.path;
  }
  EXPECT_EQ(schema["properties"]["model"]["properties"]["scheme"]["enum"][0], "b2t");
  EXPECT_EQ(schema["properties"]["train"]["properties"]["learning_rate"]["exclusiveMinimum"], 0);
}

}  // namespace
}  // namespace strata::client
