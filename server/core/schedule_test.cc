#include "server/core/schedule.h"

#include <list>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const absl::Time kNow = absl::FromUnixSeconds(1'000'000);

// A queue and workers, written short; keeps the jobs alive.
class Case {
 public:
  Case() = default;
  Case(const Case&) = delete;  // the snapshot points into jobs_
  Case& Queue(const std::string& name, int32_t ranks, const std::string& avoid = "") {
    jobs_.push_back(Job{.name = name, .ranks = ranks});
    snapshot_.queue.push_back({.job = &jobs_.back(), .avoid = avoid});
    return *this;
  }
  Case& After(const Job& upstream, bool accepts_diverged = false) {
    jobs_.back().upstream = upstream.name;
    jobs_.back().accepts_diverged = accepts_diverged;
    jobs_.push_back(upstream);
    snapshot_.queue.back().upstream = &jobs_.back();
    return *this;
  }
  Case& NotBefore(absl::Time time) {
    jobs_.back().not_before = time;
    return *this;
  }
  Case& Worker(const std::string& name, int32_t slots, std::vector<int32_t> free, bool gpu = false) {
    snapshot_.workers.push_back({name, slots, std::move(free), gpu});
    return *this;
  }
  Case& Gpus(const std::string& name, int32_t slots, std::vector<int32_t> free) {
    return Worker(name, slots, std::move(free), true);
  }
  Case& Elastic(const std::string& name, int32_t min, int32_t max) {
    Queue(name, max);
    jobs_.back().min_ranks = min;
    jobs_.back().global_batch = max;
    return *this;
  }
  // "job@worker:slot,worker:slot" for each placement, by rank.
  std::vector<std::string> Plan() const {
    std::vector<std::string> lines;
    for (const Placement& placement : Schedule(snapshot_, kNow).placements) {
      std::string line = placement.job + "@";
      for (size_t rank = 0; rank < placement.places.size(); ++rank) {
        const RankPlace& place = placement.places[rank];
        EXPECT_EQ(place.rank, static_cast<int32_t>(rank));
        line += (rank > 0 ? "," : "") + place.worker + ":" + std::to_string(place.slot);
      }
      lines.push_back(line);
    }
    return lines;
  }

 private:
  std::list<Job> jobs_;
  Snapshot snapshot_;
};

TEST(ScheduleTest, FirstComeFirstServed) {
  EXPECT_THAT(Case().Queue("a", 1).Queue("b", 1).Queue("c", 1).Worker("w", 2, {0, 1}).Plan(),
              ElementsAre("a@w:0", "b@w:1"));
}

TEST(ScheduleTest, GangsArePlacedWholeOrNotAtAll) {
  EXPECT_THAT(Case().Queue("a", 3).Queue("b", 3).Worker("w1", 2, {0, 1}).Worker("w2", 2, {0, 1}).Plan(),
              ElementsAre("a@w1:0,w1:1,w2:0"));
  EXPECT_THAT(Case().Queue("a", 3).Worker("w1", 2, {1}).Worker("w2", 2, {0}).Plan(), IsEmpty());
}

TEST(ScheduleTest, NoJobPassesAGangThatTheClusterCouldHold) {
  EXPECT_THAT(Case().Queue("gang", 2).Queue("small", 1).Worker("w", 2, {1}).Plan(), IsEmpty());
}

TEST(ScheduleTest, AGangLargerThanTheClusterIsPassedBy) {
  EXPECT_THAT(Case().Queue("gang", 3).Queue("small", 1).Worker("w", 2, {1}).Plan(), ElementsAre("small@w:1"));
}

TEST(ScheduleTest, PacksOnFewWorkersAndLeavesLargeRooms) {
  EXPECT_THAT(Case().Queue("a", 1).Queue("b", 4).Worker("w1", 4, {0, 1, 2, 3}).Worker("w2", 2, {1}).Plan(),
              ElementsAre("a@w2:1", "b@w1:0,w1:1,w1:2,w1:3"));
  EXPECT_THAT(Case().Queue("a", 5).Worker("w1", 2, {0, 1}).Worker("w2", 4, {0, 1, 2, 3}).Worker("w3", 1, {0}).Plan(),
              ElementsAre("a@w2:0,w2:1,w2:2,w2:3,w3:0"));
}

TEST(ScheduleTest, AvoidsTheWorkerOfTheLastFailureWhereItCan) {
  EXPECT_THAT(Case().Queue("a", 1, "w1").Worker("w1", 1, {0}).Worker("w2", 2, {0, 1}).Plan(), ElementsAre("a@w2:0"));
  EXPECT_THAT(Case().Queue("a", 1, "w1").Worker("w1", 1, {0}).Worker("w2", 2, {}).Plan(), ElementsAre("a@w1:0"));
  EXPECT_THAT(Case().Queue("a", 2, "w1").Worker("w1", 2, {0, 1}).Worker("w2", 1, {0}).Plan(),
              ElementsAre("a@w1:0,w1:1"));
}

TEST(ScheduleTest, AGangLeavesOutTheWorkerOfItsFailureIfTheOthersCanHoldIt) {
  EXPECT_THAT(
      Case().Queue("a", 3, "w1").Worker("w1", 4, {0, 1, 2, 3}).Worker("w2", 2, {0, 1}).Worker("w3", 1, {0}).Plan(),
      ElementsAre("a@w2:0,w2:1,w3:0"));
  EXPECT_THAT(Case().Queue("a", 3, "w1").Worker("w1", 4, {0, 1, 2, 3}).Worker("w2", 2, {0, 1}).Plan(),
              ElementsAre("a@w1:0,w1:1,w1:2"));
  EXPECT_THAT(Case().Queue("a", 1, "w1").Queue("b", 2).Worker("w1", 2, {0, 1}).Worker("w2", 1, {0}).Plan(),
              ElementsAre("a@w2:0", "b@w1:0,w1:1"));  // others may have it still
}

TEST(ScheduleTest, AllRanksAreOnOneKindOfSlotGpusFirst) {
  EXPECT_THAT(Case().Queue("a", 2).Queue("b", 2).Gpus("g", 2, {0, 1}).Worker("w", 2, {0, 1}).Plan(),
              ElementsAre("a@g:0,g:1", "b@w:0,w:1"));
  EXPECT_THAT(Case().Queue("a", 3).Queue("b", 1).Gpus("g", 2, {0, 1}).Worker("w", 2, {0, 1}).Plan(),
              ElementsAre("b@g:0"));  // no kind has three slots in all
  EXPECT_THAT(Case().Queue("a", 2).Queue("b", 1).Gpus("g", 2, {0}).Worker("w", 1, {0}).Plan(), IsEmpty());
  EXPECT_THAT(Case().Queue("a", 3).Gpus("g", 2, {0, 1}).Worker("w", 3, {0, 1, 2}).Plan(), ElementsAre("a@w:0,w:1,w:2"));
  EXPECT_THAT(Case().Elastic("a", 1, 4).Gpus("g", 2, {0, 1}).Worker("w", 4, {0, 1, 2, 3}).Plan(),
              ElementsAre("a@g:0,g:1"));
  EXPECT_THAT(Case().Queue("a", 1).Gpus("m", 1, {1}).Worker("m", 1, {0}).Plan(), ElementsAre("a@m:1"));
}

TEST(ScheduleTest, WaitsForUpstreamAndBackoff) {
  for (const auto& [state, accepts, runs] :
       std::vector<std::tuple<JobState, bool, bool>>{{JobState::kSucceeded, false, true},
                                                     {JobState::kDiverged, true, true},
                                                     {JobState::kDiverged, false, false},
                                                     {JobState::kRunning, true, false},
                                                     {JobState::kFailed, true, false}}) {
    EXPECT_EQ(Case().Queue("a", 1).After({.name = "t", .state = state}, accepts).Worker("w", 1, {0}).Plan().size(),
              runs ? 1u : 0u)
        << Name(state) << accepts;
  }
  EXPECT_THAT(Case().Queue("a", 1).NotBefore(kNow).Worker("w", 1, {0}).Plan(), ElementsAre("a@w:0"));
  EXPECT_THAT(Case().Queue("a", 2).NotBefore(kNow + absl::Seconds(1)).Queue("b", 1).Worker("w", 2, {0, 1}).Plan(),
              ElementsAre("b@w:0"));
}

TEST(ScheduleTest, AJobWhoseUpstreamIsNotKnownWaits) {
  Job job{.name = "a", .upstream = "gone"};
  EXPECT_FALSE(Eligible({.job = &job}, kNow));
}

}  // namespace
}  // namespace strata::core
