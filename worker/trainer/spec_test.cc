#include "worker/trainer/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "worker/trainer/failure.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ErrorOf(const json& document) {
  try {
    ParseSpec(document);
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), Cause::kBadSpec);
    return failure.what();
  }
  return "no error";
}

TEST(SpecTest, ReadsEveryField) {
  const json document = testing::SmallSpec();
  const auto lines = SpecLines(ParseSpec(document));
  EXPECT_THAT(lines, Contains("model.depth=2L-2L"));
  EXPECT_THAT(lines, Contains("train.learning_rate=0.005"));
  EXPECT_THAT(lines, Contains("train.warmup_init_learning_rate=1e-07"));
  EXPECT_THAT(lines, Contains("train.seed=1"));
  EXPECT_THAT(lines, Contains("model.rescale_init=false"));
  EXPECT_THAT(lines, Contains("evaluate[0].metric=bleu"));
  EXPECT_THAT(lines, Contains("resources.threads=1"));
}

// A message of the proto -> where its fields stand.
const std::map<std::string, std::string> kPrefixes = {{"TaskSpec", "task"},
                                                      {"ModelSpec", "model"},
                                                      {"TrainSpec", "train"},
                                                      {"EvaluateSpec", "evaluate[0]"},
                                                      {"DiagnosticsSpec", "diagnostics"},
                                                      {"ResourcesSpec", "resources"}};

// The proto is the source of every field: the trainer knows those and no others.
TEST(SpecTest, FieldsAreTheProtos) {
  std::ifstream proto(STRATA_SOURCE_DIR "/proto/strata/v1/trial_spec.proto");
  const std::regex message(R"(^message (\w+) \{)"),
      field(R"(^  (?:optional )?(?:string|int32|int64|double|bool) (\w+) = \d+)");
  std::set<std::string> expected, actual;
  std::string current;
  for (std::string line; std::getline(proto, line);) {
    std::smatch match;
    if (std::regex_search(line, match, message)) current = match[1];
    if (std::regex_search(line, match, field) && kPrefixes.contains(current))
      expected.insert(kPrefixes.at(current) + "." + match[1].str());
  }
  for (const std::string& line : SpecLines(ParseSpec(testing::SmallSpec())))
    actual.insert(line.substr(0, line.find('=')));
  EXPECT_GE(expected.size(), 40u);
  EXPECT_EQ(actual, expected);
}

TEST(SpecTest, MembersStandAtTheProtosDefaults) {
  std::ifstream proto(STRATA_SOURCE_DIR "/proto/strata/v1/trial_spec.proto");
  const std::regex message(R"(^message (\w+) \{)"), field(R"re((\w+) = \d+ \[\(rule\) = \{default_value: "([^"]*)")re");
  TrialSpec defaults;
  defaults.evaluate.emplace_back();
  std::map<std::string, std::string> members;
  for (const std::string& line : SpecLines(defaults))
    members[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
  std::string current;
  size_t seen = 0;
  for (std::string line; std::getline(proto, line);) {
    std::smatch match;
    if (std::regex_search(line, match, message)) current = match[1];
    if (!kPrefixes.contains(current) || !std::regex_search(line, match, field)) continue;
    const std::string path = kPrefixes.at(current) + "." + match[1].str(), value = match[2];
    const bool number = !value.empty() && value.find_first_not_of("0123456789.e-") == std::string::npos;
    if (number) {
      EXPECT_EQ(std::stod(members.at(path)), std::stod(value)) << path;
    } else {
      EXPECT_EQ(members.at(path), value) << path;
    }
    ++seen;
  }
  EXPECT_GE(seen, 60u);
}

TEST(SpecTest, AMissingFieldIsAnErrorWhicheverItIs) {
  for (const std::string part : {"task", "model", "train", "diagnostics", "resources"}) {
    for (const auto& [key, value] : testing::SmallSpec().at(part).items()) {
      json document = testing::SmallSpec();
      document[part].erase(key);
      EXPECT_THAT(ErrorOf(document), HasSubstr(part + "." + key + " is missing"));
      document = testing::SmallSpec();
      document[part][key] = json::array();
      EXPECT_THAT(ErrorOf(document), HasSubstr(part + "." + key + " is []"));
    }
    json document = testing::SmallSpec();
    document.erase(part);
    EXPECT_THAT(ErrorOf(document), HasSubstr(part + " is missing"));
  }
}

TEST(SpecTest, RefusesWhatIsWrongNamingPathAndValue) {
  const auto with = [](const std::string& pointer, const json& value) {
    json document = testing::SmallSpec();
    document[json::json_pointer(pointer)] = value;
    return document;
  };
  for (const auto& [document, why] : std::vector<std::pair<json, std::string>>{
           {with("/model/width", 3), "model.width is no field"},
           {with("/surprise", 3), "surprise is no field"},
           {with("/evaluate/0/beams", 3), "evaluate[0].beams is no field"},
           {with("/model/dim", 1), "model.dim is 1, but must be at least 2"},
           {with("/model/dim", "64"), "model.dim is \"64\", but must be a whole number"},
           {with("/model/dim", 64.5), "model.dim is 64.5"},
           {with("/train/seed", "one"), "train.seed is \"one\""},
           {with("/train/seed", "1x"), "train.seed is \"1x\""},
           {with("/train/seed", "-1"), "train.seed is -1"},
           {with("/train/updates", 0), "train.updates is 0, but must be at least 1"},
           {with("/train/updates", 18446744073709551615ull), "too large"},
           {with("/train/learning_rate", 0), "train.learning_rate is 0, but must be above 0"},
           {with("/train/learning_rate", -1), "train.learning_rate is -1"},
           {with("/train/learning_rate", "NaN"), "train.learning_rate is NaN"},
           {with("/train/clip_norm", "Infinity"), "train.clip_norm is Infinity"},
           {with("/model/dropout", 1), "model.dropout is 1, but must be at least 0 and below 1"},
           {with("/model/share_embeddings", "some"), "Choose one of: all, decoder, none"},
           {with("/train/on_divergence", "ignore"), "Choose one of: stop, continue"},
           {with("/model/rescale_init", 1), "must be true or false"},
           {with("/evaluate", 1), "evaluate is 1, but must be a list"},
           {with("/task", nullptr), "task is null, but must be an object"},
           {json::array(), "The spec is []"}}) {
    EXPECT_THAT(ErrorOf(document), HasSubstr(why));
  }
}

TEST(SpecTest, SixtyFourBitIntegersMayBeText) {
  json document = testing::SmallSpec();
  for (const json& seed : {json("9007199254740991"), json(9007199254740991)}) {
    document["train"]["seed"] = seed;
    EXPECT_EQ(ParseSpec(document).train.seed, 9007199254740991);
  }
}

TEST(SpecTest, CheckpointsMayBeContinuedUnderOtherIntervalsOnly) {
  json document = testing::SmallSpec();
  const auto lines = TrainingLines(ParseSpec(document));
  document["train"]["checkpoint_every"] = 3;
  document["train"]["keep_checkpoints"] = 9;
  document["resources"]["threads"] = 4;
  document["evaluate"] = json::array();
  EXPECT_EQ(TrainingLines(ParseSpec(document)), lines);
  document["train"]["max_tokens"] = 97;
  EXPECT_NE(TrainingLines(ParseSpec(document)), lines);
}

}  // namespace
}  // namespace strata::trainer
