#include "client/initialisations.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Initialisation Trial(const std::string& name, const std::string& fc1 = "uniform(0.1)", const std::string& hash = "a") {
  return {.trial = name,
          .batches_sha256 = "b",
          .tensors = {{"decoder.layers.0.fc1.weight", {fc1, "4 x 8", fc1 + hash}},
                      {"decoder.layers.1.fc1.weight", {fc1, "4 x 8", fc1 + hash + "2"}},
                      {"encoder.embed_tokens.weight", {"normal(0.1)", "9 x 4", "e" + hash}}}};
}

TEST(CompareTest, TensorsOfOneInitialiserAndHashAreAlike) {
  const MatchedGroup group = Compare({Trial("t1"), Trial("t2")});
  EXPECT_TRUE(group.matched());
  EXPECT_EQ(group.alike, 3);
  EXPECT_EQ(group.tensors, 3);
  EXPECT_THAT(group.differences, IsEmpty());
}

TEST(CompareTest, OtherInitialisersAreADifferenceToldOnceForAllLayers) {
  const MatchedGroup group = Compare({Trial("t1"), Trial("t2"), Trial("t3", "uniform(0.3)")});
  EXPECT_TRUE(group.matched());
  EXPECT_EQ(group.alike, 1);
  ASSERT_EQ(group.differences.size(), 1u);
  EXPECT_EQ(group.differences[0].tensors, "decoder.layers.*.fc1.weight");
  EXPECT_EQ(group.differences[0].count, 2);
  EXPECT_EQ(group.differences[0].why, "uniform(0.1) [4 x 8] in t1, t2; uniform(0.3) [4 x 8] in t3");
}

TEST(CompareTest, ATensorThatOneTrialLacksIsADifference) {
  Initialisation more = Trial("t2");
  more.tensors["decoder.history"] = {"constant(1)", "3", "h"};
  const MatchedGroup group = Compare({Trial("t1"), more});
  EXPECT_TRUE(group.matched());
  ASSERT_EQ(group.differences.size(), 1u);
  EXPECT_EQ(group.differences[0].why, "constant(1) [3] in t2; none in t1");
}

TEST(CompareTest, WhatAProfileFilledInIsNeverAlikeAndNeverBroken) {
  const MatchedGroup group = Compare({Trial("t1", "profile", "x"), Trial("t2", "profile", "x")});
  EXPECT_TRUE(group.broken.empty());
  EXPECT_EQ(group.alike, 1);
}

TEST(CompareTest, TheSameInitialiserWithAnotherHashIsToldLoudly) {
  MatchedGroup group = Compare({Trial("t1"), Trial("t2", "uniform(0.1)", "other")});
  EXPECT_FALSE(group.matched());
  EXPECT_EQ(group.broken.size(), 3u);
  EXPECT_EQ(group.broken[0], "decoder.layers.0.fc1.weight");
  group.depth = "18L-18L";
  EXPECT_THAT(Text({group}), HasSubstr("NOT MATCHED: 3 tensors have the same initialiser and start otherwise"));
  EXPECT_THAT(ToJson({group}), HasSubstr("\"matched\": false"));
}

TEST(CompareTest, OtherBatchesAreToldLoudly) {
  Initialisation other = Trial("t2");
  other.batches_sha256 = "c";
  const MatchedGroup group = Compare({Trial("t1"), other});
  EXPECT_FALSE(group.matched());
  EXPECT_THAT(Text({group}), HasSubstr("NOT MATCHED: these trials do not see the same batches"));
  EXPECT_THAT(Text({Compare({Trial("t1"), Trial("t2")})}), Not(HasSubstr("NOT MATCHED")));
}

TEST(ParseInitialisationTest, ReadsWhatATrainerWrites) {
  const auto read = ParseInitialisation(
      "t1", R"json({"seed": 1, "batches_sha256": "b", "tensors": [{"name": "x", "initialiser": "constant(1)", "shape": [2, 3], "sha256": "h"}]})json");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->tensors.at("x").shape, "2 x 3");
  EXPECT_THAT(ParseInitialisation("t1", "{}").status().message(), HasSubstr("The initialisation of t1"));
}

}  // namespace
}  // namespace strata::client
