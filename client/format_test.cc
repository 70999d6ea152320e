#include "client/format.h"

#include <cmath>

#include "gtest/gtest.h"

namespace strata::client {
namespace {

TEST(FormatTest, Durations) {
  for (const auto& [seconds, text] : std::vector<std::pair<double, std::string>>{{0, "0 s"},
                                                                                 {59.4, "59 s"},
                                                                                 {59.6, "1 min 00 s"},
                                                                                 {245, "4 min 05 s"},
                                                                                 {12000, "3 h 20 min"},
                                                                                 {187200, "2 d 4 h"},
                                                                                 {-1, "-"},
                                                                                 {NAN, "-"},
                                                                                 {INFINITY, "-"}}) {
    EXPECT_EQ(FormatDuration(seconds), text);
  }
}

TEST(FormatTest, BytesAndCounts) {
  EXPECT_EQ(FormatBytes(812), "812 B");
  EXPECT_EQ(FormatBytes(1500000), "1.4 MiB");
  EXPECT_EQ(FormatBytes(int64_t{300} << 30), "300 GiB");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(12600), "12,600");
  EXPECT_EQ(FormatCount(-1234567), "-1,234,567");
}

TEST(FormatTest, NllAndStates) {
  EXPECT_EQ(FormatNll(true, 5.7731), "5.773");
  EXPECT_EQ(FormatNll(true, NAN), "NaN");
  EXPECT_EQ(FormatNll(false, 1), "-");
  EXPECT_EQ(StateName(v1::JOB_STATE_DIVERGED), "DIVERGED");
  EXPECT_EQ(KindName(v1::JOB_KIND_TRAIN), "TRAIN");
}

TEST(FormatTest, DivergedIsAResultAndFailedIsNot) {
  v1::Experiment experiment;
  experiment.add_states()->set_state(v1::JOB_STATE_SUCCEEDED);
  experiment.mutable_states(0)->set_trials(4);
  experiment.add_states()->set_state(v1::JOB_STATE_DIVERGED);
  experiment.mutable_states(1)->set_trials(2);
  EXPECT_TRUE(AllResults(experiment));
  EXPECT_EQ(StateCounts(experiment), "4 SUCCEEDED, 2 DIVERGED");
  experiment.add_states()->set_state(v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(AllResults(experiment)) << "none are in it";
  experiment.mutable_states(2)->set_trials(1);
  EXPECT_FALSE(AllResults(experiment));
}

}  // namespace
}  // namespace strata::client
