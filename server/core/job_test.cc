#include "server/core/job.h"

#include <map>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::core {
namespace {

using ::testing::HasSubstr;
using S = JobState;
using E = JobEvent;

// Every pair that applies. All others must be refused.
const std::map<std::pair<S, E>, S> kApplies = {
    {{S::kQueued, E::kPlaced}, S::kPending},           {{S::kQueued, E::kFailed}, S::kFailed},
    {{S::kQueued, E::kCancelAsked}, S::kCancelled},    {{S::kQueued, E::kUpstreamEnded}, S::kCancelled},
    {{S::kPending, E::kRanksUp}, S::kRunning},         {{S::kPending, E::kSucceeded}, S::kSucceeded},
    {{S::kPending, E::kDiverged}, S::kDiverged},       {{S::kPending, E::kRequeued}, S::kQueued},
    {{S::kPending, E::kFailed}, S::kFailed},           {{S::kPending, E::kCancelAsked}, S::kCancelling},
    {{S::kRunning, E::kSucceeded}, S::kSucceeded},     {{S::kRunning, E::kDiverged}, S::kDiverged},
    {{S::kRunning, E::kRequeued}, S::kQueued},         {{S::kRunning, E::kFailed}, S::kFailed},
    {{S::kRunning, E::kCancelAsked}, S::kCancelling},  {{S::kCancelling, E::kSucceeded}, S::kCancelled},
    {{S::kCancelling, E::kDiverged}, S::kCancelled},   {{S::kCancelling, E::kRequeued}, S::kCancelled},
    {{S::kCancelling, E::kFailed}, S::kCancelled},     {{S::kCancelling, E::kCancelAsked}, S::kCancelling},
    {{S::kCancelled, E::kCancelAsked}, S::kCancelled}, {{S::kCancelled, E::kRetryAsked}, S::kQueued},
    {{S::kFailed, E::kRetryAsked}, S::kQueued},
};

TEST(JobTest, TableHasAnEntryForEveryPair) {
  for (const JobState state : kAllJobStates) {
    for (const JobEvent event : kAllJobEvents) {
      const auto next = Next(state, event);
      const auto wanted = kApplies.find({state, event});
      if (wanted != kApplies.end()) {
        ASSERT_TRUE(next.ok()) << next.status();
        EXPECT_EQ(*next, wanted->second) << Name(state) << " " << Name(event);
      } else {
        EXPECT_EQ(next.status().code(), absl::StatusCode::kFailedPrecondition) << Name(state) << " " << Name(event);
        EXPECT_THAT(next.status().message(), HasSubstr(Name(state)));
        EXPECT_THAT(next.status().message(), HasSubstr(Name(event)));
      }
    }
  }
}

TEST(JobTest, FinalStatesAreLeftOnlyByARetry) {
  for (const JobState state : kAllJobStates) {
    if (!IsFinal(state)) continue;
    for (const JobEvent event : kAllJobEvents) {
      const auto next = Next(state, event);
      if (!next.ok() || *next == state) continue;
      EXPECT_EQ(event, E::kRetryAsked) << Name(state);
    }
  }
}

TEST(JobTest, NamesGoBothWays) {
  for (const JobState state : kAllJobStates) EXPECT_EQ(JobStateFromName(Name(state)), state);
  for (const JobKind kind : {JobKind::kTrain, JobKind::kEvaluate, JobKind::kProbe}) {
    EXPECT_EQ(JobKindFromName(Name(kind)), kind);
  }
  EXPECT_EQ(JobStateFromName("CANCELED"), std::nullopt);
  EXPECT_EQ(JobKindFromName(""), std::nullopt);
}

TEST(JobTest, OnlyCausesThatARetryCanMend) {
  for (const auto& [cause, mends] : std::map<std::string, bool>{{"worker_lost", true},
                                                                {"rank_lost", true},
                                                                {"crashed", true},
                                                                {"stalled", true},
                                                                {"start_failed", true},
                                                                {"disk_full", true},
                                                                {"internal", true},
                                                                {"out_of_memory", false},
                                                                {"bad_spec", false},
                                                                {"data_error", false},
                                                                {"dataset_missing", false},
                                                                {"checkpoint_corrupt", false},
                                                                {"never heard of", false},
                                                                {"", false}}) {
    EXPECT_EQ(CanMend(cause), mends) << cause;
  }
}

TEST(JobTest, CausesThatCanBeMendedAreKnown) {
  EXPECT_FALSE(IsCause("never heard of"));
  EXPECT_FALSE(IsCause(""));
  for (const std::string_view cause : Causes()) EXPECT_TRUE(IsCause(cause)) << cause;
  EXPECT_TRUE(IsCause("stalled"));
}

TEST(JobTest, BackoffDoublesUpToTheLongest) {
  const auto backoff = [](int32_t failures) { return Backoff(failures, absl::Seconds(1), absl::Minutes(1)); };
  EXPECT_EQ(backoff(1), absl::Seconds(1));
  EXPECT_EQ(backoff(2), absl::Seconds(2));
  EXPECT_EQ(backoff(6), absl::Seconds(32));
  EXPECT_EQ(backoff(7), absl::Minutes(1));
  EXPECT_EQ(backoff(2'000'000'000), absl::Minutes(1));
}

}  // namespace
}  // namespace strata::core
