// Gangs: elastic world sizes, hold, priority, cordon and drain, and what is told after an end.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/core/collectives.h"
#include "server/core/controller.h"

namespace strata::core {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

class GangsTest : public ::testing::Test {
 protected:
  Effects Do(const Event& event) {
    auto effects = controller_.Step(event, now_);
    EXPECT_TRUE(effects.ok()) << effects.status();
    return effects.ok() ? *effects : Effects{};
  }
  void AddWorker(const std::string& name, int slots, const std::string& device = "cpu") {
    Worker worker{.name = name, .uid = name, .session = "s-" + name};
    for (int i = 0; i < slots; ++i) worker.slots.push_back({.index = i, .device = device});
    Do(WorkerRegistered{worker, {}});
  }
  void Up(const std::string& job) {
    const size_t ranks = Last(job).places.size();
    for (size_t rank = 0; rank < ranks; ++rank) Do(RankStarted{job, Last(job).number, static_cast<int32_t>(rank)});
  }
  // Seconds pass; every worker is heard.
  void Pass(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      now_ += absl::Seconds(1);
      for (const auto& [name, worker] : State(controller_.state()).workers) {
        if (worker.state != WorkerState::kReady) continue;
        WorkerSynchronized event{.worker = name, .session = worker.session};
        for (const WorkerAssignment& a : controller_.Assignments(name)) event.running.emplace_back(a.job, a.attempt);
        Do(event);
      }
      Do(Ticked{});
    }
  }
  const Job& JobOf(const std::string& name) { return controller_.state().jobs.at(name); }
  Attempt Last(const std::string& job) { return controller_.state().attempts.at({job, JobOf(job).attempts}); }
  size_t Ranks(const std::string& job) { return Last(job).places.size(); }
  void Stopped(const std::string& job, const std::string& worker) {
    Do(AttemptCompleted{job, JobOf(job).attempts, worker, "stopped"});
  }

  absl::Time now_ = kStart;
  Controller controller_{{}, {}, kStart};
};

TEST(WorldSizesTest, DivideTheGlobalBatchWithinTheBounds) {
  const Job rigid{.ranks = 4}, elastic{.ranks = 6, .min_ranks = 2, .global_batch = 12};
  EXPECT_EQ(LeastRanks(rigid), 4);
  EXPECT_EQ(MostRanks(rigid, 3), 0);
  EXPECT_EQ(MostRanks(rigid, 9), 4);
  EXPECT_EQ(LeastRanks(elastic), 2);
  EXPECT_EQ(MostRanks(elastic, 1), 0);
  EXPECT_EQ(MostRanks(elastic, 5), 4);
  EXPECT_EQ(MostRanks(elastic, 99), 6);
  EXPECT_FALSE(ValidRanks(elastic, 5));
  EXPECT_EQ(LeastRanks({.ranks = 9, .min_ranks = 4, .global_batch = 9}), 9);
}

TEST(ComparePositionsTest, NamesWhoIsBehindAndWhere) {
  const auto place = [](int32_t rank, int64_t sequence, const std::string& name) {
    return RankPlace{.rank = rank, .sequence = sequence, .collective = name};
  };
  EXPECT_EQ(ComparePositions({place(0, 5, "a")}), "");
  EXPECT_EQ(ComparePositions({place(0, -1, ""), place(1, -1, "")}), "");
  EXPECT_EQ(
      ComparePositions({place(0, 812, "update 9, bucket 1"), place(1, 811, "update 9, bucket 0"),
                        place(2, 812, "update 9, bucket 1")}),
      "Rank 1 is behind, at collective 811 (update 9, bucket 0). Ranks 0 and 2 stood at collective 812 (update 9, "
      "bucket 1).");
  EXPECT_EQ(ComparePositions({place(0, 3, "x"), place(1, 3, "x")}), "All ranks stood at collective 3 (x).");
  EXPECT_EQ(ComparePositions({place(0, 3, "x"), place(1, -1, "")}),
            "Rank 0 stood at collective 3 (x). Rank 1 has not told.");
  EXPECT_EQ(ComparePositions({place(0, 3, "x"), place(1, 3, "y")}),
            "Rank 0 stood at collective 3 (x). Rank 1 stood at collective 3 (y).");
  EXPECT_EQ(ComparePositions({place(0, 0, ""), place(1, 1, "y")}),
            "Rank 0 is behind, before the first collective. Rank 1 stood at collective 1 (y).");
}

TEST(RankBehindTest, IsWhoStandsFurthestBackOrIsSuspendedAmongEquals) {
  const auto behind = [](const std::vector<std::pair<int64_t, std::string>>& stood) {
    std::vector<RankPlace> places;
    for (const auto& [sequence, name] : stood) {
      places.push_back({.rank = static_cast<int32_t>(places.size()), .sequence = sequence, .collective = name});
    }
    return RankBehind(places);
  };
  EXPECT_EQ(behind({{7, "a"}, {6, "b"}, {7, "a"}}), 1);
  EXPECT_EQ(behind({{7, "a"}, {7, "a"}}), -1);
  EXPECT_EQ(behind({{7, "a"}, {7, "a, suspended"}}), 1);
  EXPECT_EQ(behind({{7, "a, suspended"}, {6, "b"}}), 1);
  EXPECT_EQ(behind({{-1, ""}, {6, "b"}}), -1);
}

TEST_F(GangsTest, TheNextAttemptLeavesOutTheWorkerOfTheRankThatFailed) {
  for (const char* name : {"w1", "w2", "w3"}) AddWorker(name, 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2, .max_attempts = 9}}});
  const auto workers = [&] {
    std::vector<std::string> names;
    for (const RankPlace& place : Last("a").places) names.push_back(place.worker);
    return names;
  };
  const auto first = workers();
  // The second rank crashed; its peer is heard first, and has only lost it.
  Do(AttemptCompleted{"a", 1, first[0], "failed", true, "rank_lost", "", {}, {{0, 7, "x"}}});
  Do(AttemptCompleted{"a", 1, first[1], "failed", true, "crashed", "", {}, {{1, 7, "x"}}});
  Pass(2);
  EXPECT_THAT(workers(), AllOf(SizeIs(2), Contains(first[0]), Not(Contains(first[1]))));
  // The first one that is heard killed its ranks as hanging; it was the other that was suspended.
  const auto second = workers();
  Do(AttemptCompleted{"a", 2, second[0], "failed", true, "stalled", "", {}, {{0, 7, "x"}}});
  Do(AttemptCompleted{"a", 2, second[1], "failed", true, "rank_lost", "", {}, {{1, 7, "x, suspended"}}});
  EXPECT_THAT(JobOf("a").message, HasSubstr("Rank 1 stood at collective 7 (x, suspended)"));
  controller_ = Controller({}, controller_.state(), now_);
  Pass(3);
  EXPECT_THAT(workers(), AllOf(SizeIs(2), Contains(second[0]), Not(Contains(second[1]))));
}

TEST_F(GangsTest, AGangIsOnOneKindOfSlot) {
  AddWorker("w1", 2);
  AddWorker("g1", 1, "H100");
  const absl::Status status = controller_.CheckFeasible({.name = "a", .ranks = 3});
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("1 GPU and 2 CPU slots"), HasSubstr("all on one kind")));
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2}, Job{.name = "b", .ranks = 2}, Job{.name = "c"}}});
  for (const RankPlace& place : Last("a").places) EXPECT_EQ(place.worker, "w1");
  EXPECT_THAT(controller_.WhyWaiting("b", now_).reason,
              HasSubstr("1 GPU and 0 CPU slots of 1 GPU and 2 CPU slots free"));
  EXPECT_EQ(JobOf("c").state, JobState::kQueued);  // the gang before it keeps its turn
  Do(CancelRequested{"b"});
  EXPECT_EQ(Last("c").places[0].worker, "g1");
}

TEST_F(GangsTest, AnElasticAttemptGrowsOnItsOwnKind) {
  AddWorker("g1", 1, "H100");
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 4, .min_ranks = 1, .global_batch = 4}}});
  Up("a");
  AddWorker("w1", 8);
  Pass(70);
  EXPECT_EQ(Last("a").stop_reason, "");
  AddWorker("g2", 1, "H100");
  Pass(2);
  EXPECT_EQ(Last("a").stop_reason, "Stopped to go on with 2 ranks instead of 1.");
  Stopped("a", "g1");
  EXPECT_EQ(Ranks("a"), 2u);
  Up("a");
  Do(CordonRequested{"g1"});
  Stopped("a", "g1");
  Stopped("a", "g2");
  EXPECT_EQ(Last("a").places[0].worker, "g2");
}

TEST_F(GangsTest, AWorkerThatOffersFewerSlotsLosesWhatRanOnThem) {
  AddWorker("w1", 2);
  Do(JobsSubmitted{{Job{.name = "a"}, Job{.name = "b"}}});
  Up("a");
  Up("b");
  Worker worker{.name = "w1", .uid = "w1", .session = "s2", .slots = {{.index = 1}}};
  Do(WorkerRegistered{worker, {{"a", 1}, {"b", 1}}});
  EXPECT_THAT(JobOf("a").message, HasSubstr("no longer offers a slot"));
  EXPECT_EQ(JobOf("b").state, JobState::kRunning);
}

TEST_F(GangsTest, ASubmissionLargerThanTheClusterIsInfeasible) {
  EXPECT_TRUE(controller_.CheckFeasible({.ranks = 8}).ok());  // nobody is connected yet: it waits
  AddWorker("w1", 2);
  AddWorker("w2", 1);
  for (const auto& [job, why] : std::vector<std::pair<Job, std::vector<std::string>>>{
           {{.name = "a", .ranks = 4}, {"INFEASIBLE", "resources.ranks is 4", "2 workers", "3 slots", "min_ranks"}},
           {{.name = "a", .kind = JobKind::kEvaluate, .ranks = 4}, {"evaluate.ranks is 4", "start workers"}},
           {{.name = "a", .ranks = 8, .min_ranks = 3, .global_batch = 8}, {"resources.min_ranks is 3", "are 4"}}}) {
    const absl::Status status = controller_.Step(JobsSubmitted{{job}}, now_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    for (const std::string& part : why) EXPECT_THAT(std::string(status.message()), HasSubstr(part));
  }
  EXPECT_THAT(controller_.state().jobs, IsEmpty());
  Do(JobsSubmitted{{Job{.name = "b", .ranks = 8, .min_ranks = 2, .global_batch = 8}}});
  EXPECT_EQ(Ranks("b"), 2u);
}

TEST_F(GangsTest, APriorityComesFirstAndAHeldJobNotAtAll) {
  Do(JobsSubmitted{{Job{.name = "low"}, Job{.name = "held", .priority = 9}, Job{.name = "high", .priority = 5}}});
  Do(HoldRequested{"held"});
  EXPECT_THAT(controller_.WhyWaiting("held", now_).reason, HasSubstr("strata release"));
  AddWorker("w1", 1);
  EXPECT_EQ(JobOf("high").state, JobState::kPending);
  EXPECT_EQ(JobOf("held").state, JobState::kQueued);
  Do(ReleaseRequested{"held"});
  Do(AttemptCompleted{"high", 1, "w1", "succeeded"});
  EXPECT_EQ(JobOf("held").state, JobState::kPending);
  Do(HoldRequested{"held"});  // what runs goes on
  EXPECT_EQ(JobOf("held").state, JobState::kPending);
  Do(AttemptCompleted{"held", 1, "w1", "failed", true, "crashed"});
  Pass(5);
  EXPECT_EQ(JobOf("held").state, JobState::kQueued);
  EXPECT_EQ(JobOf("low").state, JobState::kPending);
  EXPECT_EQ(controller_.Step(HoldRequested{"high"}, now_).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(controller_.Step(HoldRequested{"x"}, now_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(controller_.Step(ReleaseRequested{"x"}, now_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(GangsTest, AnElasticJobShrinksWithALostWorkerAndGrowsOnceSlotsAreFree) {
  AddWorker("w1", 2);
  AddWorker("w2", 2);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 4, .min_ranks = 1, .global_batch = 4}}});
  EXPECT_EQ(Ranks("a"), 4u);
  Up("a");
  Do(WorkerLeft{"w2", "s-w2"});
  Pass(2);
  EXPECT_EQ(Ranks("a"), 2u);
  EXPECT_EQ(JobOf("a").failures, 1);
  Up("a");
  AddWorker("w2", 1);  // three ranks do not divide four batches
  Pass(70);
  EXPECT_TRUE(Last("a").stop_reason.empty());
  AddWorker("w3", 1);
  Do(JobsSubmitted{{Job{.name = "b", .ranks = 3}}});  // it wants what is free, but has no room
  Pass(2);
  EXPECT_TRUE(Last("a").stop_reason.empty());
  Do(CancelRequested{"b"});
  Pass(1);
  EXPECT_EQ(Last("a").stop_reason, "Stopped to go on with 4 ranks instead of 2.");
  ASSERT_THAT(controller_.Assignments("w1"), SizeIs(1));
  EXPECT_TRUE(controller_.Assignments("w1")[0].stop);
  EXPECT_TRUE(controller_.Assignments("w1")[0].checkpoint);
  Do(JobsSubmitted{{Job{.name = "late", .ranks = 4}}});  // takes nothing away from it
  Stopped("a", "w1");
  EXPECT_EQ(JobOf("a").state, JobState::kPending);
  EXPECT_EQ(Ranks("a"), 4u);
  EXPECT_EQ(JobOf("a").failures, 1);
}

TEST_F(GangsTest, ADrainedWorkerIsLeftByItsAttemptsAndLeaves) {
  AddWorker("w1", 1);
  AddWorker("w2", 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2}, Job{.name = "b"}}});
  Up("a");
  Do(DrainRequested{"w1"});
  for (const char* worker : {"w1", "w2"}) {
    ASSERT_THAT(controller_.Assignments(worker), SizeIs(1));
    EXPECT_TRUE(controller_.Assignments(worker)[0].checkpoint);
  }
  EXPECT_FALSE(controller_.Leaves("w1"));
  Stopped("a", "w1");
  EXPECT_TRUE(controller_.Leaves("w1"));
  EXPECT_EQ(JobOf("a").state, JobState::kRunning);  // its other rank has not stopped yet
  const auto restarted = Controller({}, controller_.state(), now_);
  EXPECT_TRUE(restarted.Leaves("w1"));
  EXPECT_TRUE(restarted.Assignments("w2")[0].stop);
  Stopped("a", "w2");
  EXPECT_EQ(JobOf("a").failures, 0);
  Pass(2);
  EXPECT_THAT(controller_.WhyWaiting("a", now_).reason, AllOf(HasSubstr("cordoned"), HasSubstr("Needs 2 slots")));
  EXPECT_EQ(JobOf("b").state, JobState::kPending);
  Do(WorkerLeft{"w1", "s-w1"});
  EXPECT_FALSE(controller_.state().workers.at("w1").draining);
  AddWorker("w1", 1);  // what comes back is cordoned until a person takes it back
  EXPECT_TRUE(controller_.state().workers.at("w1").cordoned);
  EXPECT_FALSE(controller_.Leaves("w1"));
  Do(UncordonRequested{"w1"});
  Do(AttemptCompleted{"b", 1, "w2", "succeeded"});
  EXPECT_EQ(JobOf("a").state, JobState::kPending);
  EXPECT_EQ(controller_.Step(DrainRequested{"x"}, now_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(GangsTest, ACordonLetsGoOnWhatCannotMoveAndMovesWhatIsElastic) {
  AddWorker("w1", 2);
  AddWorker("w2", 2);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 3, .min_ranks = 1, .global_batch = 6}, Job{.name = "b"}}});
  Up("a");
  const std::string with_b = Last("b").places[0].worker;
  Do(CordonRequested{"w2"});
  EXPECT_TRUE(Last("b").stop_reason.empty());
  EXPECT_THAT(Last("a").stop_reason, HasSubstr("cordoned"));
  Stopped("a", "w1");
  Stopped("a", "w2");
  Pass(2);
  EXPECT_LT(Ranks("a"), 3u);
  for (const RankPlace& place : Last("a").places) EXPECT_EQ(place.worker, "w1");
  Do(UncordonRequested{"w2"});
  EXPECT_FALSE(controller_.state().workers.at("w2").cordoned);
}

TEST_F(GangsTest, ACrashsOwnCauseStandsBeforeItsPeers) {
  AddWorker("w1", 1);
  AddWorker("w2", 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2}}});
  Up("a");
  Do(AttemptCompleted{"a", 1, "w2", "failed", true, "rank_lost", "Rank 0 went away.", {}, {{1, 7, "update 3"}}});
  EXPECT_EQ(JobOf("a").state, JobState::kQueued);
  EXPECT_THAT(controller_.Assignments("w1"), IsEmpty());
  Do(AttemptCompleted{"a", 1, "w1", "failed", true, "out_of_memory", "Rank 0 had no room.", {}, {{0, 6, "update 2"}}});
  EXPECT_EQ(JobOf("a").state, JobState::kFailed);
  EXPECT_EQ(JobOf("a").cause, "out_of_memory");
  EXPECT_EQ(
      Last("a").message,
      "Rank 0 had no room. Rank 0 is behind, at collective 6 (update 2). Rank 1 stood at collective 7 (update 3).");
  EXPECT_EQ(JobOf("a").message, Last("a").message);
  Do(AttemptCompleted{"a", 1, "w1", "failed", true, "out_of_memory"});  // repeated
}

TEST_F(GangsTest, WhoDiedBeforeTheMeetingIsTheCauseNotThatItDidNotCome) {
  AddWorker("w1", 1);
  AddWorker("w2", 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2}}});
  Do(AttemptCompleted{"a", 1, "w2", "failed", true, "rendezvous_failed", "Rank 0 did not come."});
  EXPECT_EQ(JobOf("a").cause, "rendezvous_failed");
  Do(AttemptCompleted{"a", 1, "w1", "failed", true, "crashed", "Rank 0 was killed."});
  EXPECT_EQ(Last("a").cause, "crashed");
  EXPECT_EQ(JobOf("a").cause, "crashed");
  EXPECT_THAT(JobOf("a").message, HasSubstr("Rank 0 was killed."));
}

TEST_F(GangsTest, WhereAllStoodIsToldOfAHangAndOfNoOtherFailure) {
  for (const auto& [cause, told] : {std::pair("stalled", true), {"bad_spec", false}}) {
    const std::string job = cause;
    AddWorker("w1", 1);
    AddWorker("w2", 1);
    Do(JobsSubmitted{{Job{.name = job, .ranks = 2, .max_attempts = 1}}});
    Do(AttemptCompleted{job, 1, "w1", "failed", true, cause, "", {}, {{0, 6, "x"}}});
    Do(AttemptCompleted{job, 1, "w2", "failed", true, cause, "", {}, {{1, 6, "x"}}});
    EXPECT_EQ(!Last(job).message.empty(), told) << cause << ": " << Last(job).message;
  }
}

TEST_F(GangsTest, PositionsArriveWhileTheNextAttemptRuns) {
  AddWorker("w1", 1);
  AddWorker("w2", 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2}}});
  Do(AttemptCompleted{"a", 1, "w1", "failed", true, "stalled", "", {}, {{0, 6, "x"}}});
  Pass(2);
  ASSERT_EQ(JobOf("a").attempts, 2);
  const Effects effects = Do(AttemptCompleted{"a", 1, "w2", "failed", true, "rank_lost", "", {}, {{1, 5, "y"}}});
  ASSERT_THAT(effects.attempts, SizeIs(1));
  EXPECT_EQ(effects.attempts[0].number, 1);
  EXPECT_EQ(effects.attempts[0].message, "Rank 1 is behind, at collective 5 (y). Rank 0 stood at collective 6 (x).");
  EXPECT_EQ(JobOf("a").message, "");
}

TEST_F(GangsTest, WhoNeverTellsIsWaitedForAWhile) {
  AddWorker("w1", 1);
  AddWorker("w2", 1);
  Do(JobsSubmitted{{Job{.name = "a", .ranks = 2, .max_attempts = 1}}});
  Do(AttemptCompleted{"a", 1, "w1", "failed", true, "crashed", "", {}, {{0, 6, "x"}}});
  EXPECT_EQ(Last("a").message, "");
  Pass(16);
  EXPECT_EQ(Last("a").message, "Rank 0 stood at collective 6 (x). Rank 1 has not told.");
}

}  // namespace
}  // namespace strata::core
