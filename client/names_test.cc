#include "client/names.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::client {
namespace {

using testing::HasSubstr;

TEST(NameTest, ReadsShortAndFull) {
  for (const auto& [text, full, brief] : std::vector<std::tuple<std::string, std::string, std::string>>{
           {"quickstart-1", "experiments/quickstart-1", "quickstart-1"},
           {"quickstart-1/t3", "experiments/quickstart-1/trials/t3", "quickstart-1/t3"},
           {"quickstart-1/t3/train", "experiments/quickstart-1/trials/t3/jobs/train", "quickstart-1/t3/train"},
           {"experiments/e-1", "experiments/e-1", "e-1"},
           {"experiments/e-1/trials/t2/jobs/evaluate-1", "experiments/e-1/trials/t2/jobs/evaluate-1",
            "e-1/t2/evaluate-1"}}) {
    ASSERT_TRUE(ParseName(text).ok()) << text;
    EXPECT_EQ(ParseName(text)->full, full);
    EXPECT_EQ(ShortName(full), brief);
  }
}

TEST(NameTest, RefusesWhatIsNone) {
  for (const char* text : {"", "/", "a/b/c/d", "a//b", "experiments", "experiments/a/trials", "experiments/a/jobs/b",
                           "A", "a b", "../x", "experiments/a/trials/b/jobs/c/d/e"}) {
    if (std::string(text) == "experiments") continue;  // a name like any other
    EXPECT_THAT(std::string(ParseName(text).status().message()), HasSubstr("is no name")) << text;
  }
}

TEST(NameTest, HoldsToTheKindAskedFor) {
  EXPECT_EQ(*ParseNameOf(NameKind::kJob, "e-1/t1"), "experiments/e-1/trials/t1/jobs/train");
  EXPECT_THAT(std::string(ParseNameOf(NameKind::kTrial, "e-1").status().message()),
              HasSubstr("names an experiment; this needs a trial"));
  EXPECT_THAT(std::string(ParseNameOf(NameKind::kExperiment, "e-1/t1/train").status().message()),
              HasSubstr("names a job"));
}

TEST(NameTest, KnowsParentsAndLastParts) {
  EXPECT_EQ(ParentOf("experiments/e-1/trials/t1/jobs/train"), "experiments/e-1/trials/t1");
  EXPECT_EQ(ParentOf("experiments/e-1"), "");
  EXPECT_EQ(LastPart("experiments/e-1/trials/t1"), "t1");
  EXPECT_EQ(ShortName("workers/w1"), "w1");
}

}  // namespace
}  // namespace strata::client
