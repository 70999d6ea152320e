// What the scenarios of tests/sim do not show: refusals, repetitions, and that a step stays quick with many jobs.
#include "server/core/controller.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace strata::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const absl::Time kStart = absl::FromUnixSeconds(1'800'000'000);

Worker MakeWorker(const std::string& name, int slots, const std::string& uid = "") {
  Worker worker{.name = name, .uid = uid.empty() ? name : uid, .session = "s-" + name};
  for (int i = 0; i < slots; ++i) worker.slots.push_back({.index = i});
  return worker;
}

class ControllerTest : public ::testing::Test {
 protected:
  absl::StatusOr<Effects> Step(const Event& event, absl::Duration at = absl::ZeroDuration()) {
    return controller_.Step(event, kStart + at);
  }
  absl::Status Refused(const Event& event) { return Step(event).status(); }

  Controller controller_{{}, {}, kStart};
};

TEST_F(ControllerTest, StoresBeforeItAssigns) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  const Effects effects = Step(JobsSubmitted{{Job{.name = "a"}}}).value();
  ASSERT_THAT(effects.jobs, SizeIs(1));
  EXPECT_EQ(effects.jobs[0].state, JobState::kPending);
  ASSERT_THAT(effects.attempts, SizeIs(1));
  EXPECT_TRUE(effects.wake.contains("w1"));
  EXPECT_THAT(controller_.Assignments("w1"), SizeIs(1));
}

TEST_F(ControllerTest, RefusesAndChangesNothing) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}, Job{.name = "b", .upstream = "a"}}}).ok());
  const State before = controller_.state();
  for (const auto& [event, code, why] : std::vector<std::tuple<Event, absl::StatusCode, std::string>>{
           {JobsSubmitted{{Job{.name = "c"}, Job{.name = "a"}}}, absl::StatusCode::kAlreadyExists, "job a"},
           {JobsSubmitted{{Job{.name = "c"}, Job{.name = "c"}}}, absl::StatusCode::kAlreadyExists, "job c"},
           {JobsSubmitted{{Job{.name = "c", .upstream = "x"}}}, absl::StatusCode::kInvalidArgument, "waits for x"},
           {JobsSubmitted{{Job{.name = "c", .ranks = 0}}}, absl::StatusCode::kInvalidArgument, "ranks is 0"},
           {CancelRequested{"x"}, absl::StatusCode::kNotFound, "no job x"},
           {RetryRequested{"x"}, absl::StatusCode::kNotFound, "no job x"},
           {RetryRequested{"a"}, absl::StatusCode::kFailedPrecondition, "has not ended yet"},
           {WorkerRegistered{MakeWorker("w1", 1, "other"), {}}, absl::StatusCode::kAlreadyExists, "another --name"},
           {WorkerRegistered{MakeWorker("w2", 0), {}}, absl::StatusCode::kInvalidArgument, "offers none"},
           {WorkerSynchronized{.worker = "w2"}, absl::StatusCode::kNotFound, "no worker w2"},
           {WorkerSynchronized{.worker = "w1", .session = "old"}, absl::StatusCode::kFailedPrecondition,
            "stale_session"},
           {WorkerLeft{"w1", "old"}, absl::StatusCode::kFailedPrecondition, "stale_session"},
           {RankStarted{"a", 2, 0}, absl::StatusCode::kFailedPrecondition, "stale_attempt"},
           {RankStarted{"a", 1, 1}, absl::StatusCode::kInvalidArgument, "none of the 1 ranks"},
           {RankStarted{"b", 1, 0}, absl::StatusCode::kFailedPrecondition, "stale_attempt"},
           {CheckpointAcknowledged{"a", 0, 9}, absl::StatusCode::kFailedPrecondition, "stale_attempt"},
           {AttemptCompleted{"a", 1, "w2", "succeeded"}, absl::StatusCode::kFailedPrecondition, "no rank on w2"},
           {AttemptCompleted{"a", 1, "w1", "done"}, absl::StatusCode::kInvalidArgument, "outcome: \"done\""}}) {
    const absl::Status status = Refused(event);
    EXPECT_EQ(status.code(), code) << why;
    EXPECT_THAT(status.message(), HasSubstr(why));
    EXPECT_EQ(controller_.state().jobs, before.jobs) << why;
    EXPECT_EQ(controller_.state().workers, before.workers) << why;
    EXPECT_EQ(controller_.state().attempts, before.attempts) << why;
  }
}

TEST_F(ControllerTest, RepetitionsChangeNothing) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}}}).ok());
  for (const Event& event :
       std::vector<Event>{RankStarted{"a", 1, 0}, RendezvousOpened{"a", 1, "h:1"}, CheckpointAcknowledged{"a", 1, 100},
                          CancelRequested{"a"}, AttemptCompleted{"a", 1, "w1", "stopped"}, WorkerLeft{"w1", "s-w1"}}) {
    EXPECT_FALSE(Step(event).value().empty()) << event.index();
    EXPECT_TRUE(Step(event).value().empty()) << event.index();
  }
  EXPECT_EQ(controller_.state().jobs.at("a").state, JobState::kCancelled);
}

TEST_F(ControllerTest, AnOlderCheckpointDoesNotReplaceANewerOne) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}}}).ok());
  ASSERT_TRUE(Step(CheckpointAcknowledged{"a", 1, 100}).ok());
  ASSERT_TRUE(Step(CheckpointAcknowledged{"a", 1, 50}).ok());
  EXPECT_EQ(controller_.state().jobs.at("a").checkpoint_update, 100);
}

TEST_F(ControllerTest, ADamagedCheckpointIsFollowedByTheOneBefore) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}}}).ok());
  ASSERT_TRUE(Step(CheckpointAcknowledged{"a", 1, 200}).ok());
  ASSERT_TRUE(Step(AttemptCompleted{"a", 1, "w1", "failed", true, "crashed"}).ok());
  const auto damaged = [&](int32_t attempt, std::optional<int32_t> older) {
    ASSERT_TRUE(Step(Ticked{}, absl::Minutes(attempt)).ok());
    ASSERT_TRUE(Step(AttemptCompleted{"a", attempt, "w1", "failed", true, "checkpoint_corrupt", "Damaged.", older},
                     absl::Minutes(attempt))
                    .ok());
  };
  damaged(2, 100);
  const Job& job = controller_.state().jobs.at("a");
  EXPECT_EQ(job.state, JobState::kQueued);
  EXPECT_EQ(job.checkpoint_update, 100);
  EXPECT_EQ(job.cause, "checkpoint_corrupt");
  EXPECT_EQ(job.message, "Damaged. It goes on from update 100.");
  damaged(3, -1);  // the last one: from the beginning
  EXPECT_EQ(job.state, JobState::kQueued);
  EXPECT_EQ(job.checkpoint_update, -1);
  damaged(4, std::nullopt);  // nothing is left that could be damaged: no retry mends it
  EXPECT_EQ(job.state, JobState::kFailed);
}

TEST_F(ControllerTest, WhatAnAgentKnewAndNoLongerListsIsLost) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  const int64_t before = controller_.Generation("w1");
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}}}).ok());
  ASSERT_GT(controller_.Generation("w1"), before);
  // It asked before the assignment, or its request is late: nothing can be concluded.
  EXPECT_TRUE(Step(WorkerSynchronized{"w1", "s-w1", {}, before}).value().empty());
  EXPECT_TRUE(Step(WorkerSynchronized{"w1", "s-w1", {{"a", 1}}, controller_.Generation("w1")}).value().empty());
  ASSERT_TRUE(Step(WorkerSynchronized{"w1", "s-w1", {}, controller_.Generation("w1")}).ok());
  EXPECT_EQ(controller_.state().jobs.at("a").cause, "worker_lost");
  EXPECT_THAT(controller_.Assignments("w1"), IsEmpty());
}

TEST_F(ControllerTest, ForgetsWhatIsDoneAndRecallsItForARetry) {
  ASSERT_TRUE(Step(JobsSubmitted{{Job{.name = "a"}, Job{.name = "b", .upstream = "a"}}}).ok());
  ASSERT_TRUE(Step(CancelRequested{"a"}).ok());
  const State done = controller_.state();
  controller_.Forget({"a", "b"});
  EXPECT_THAT(controller_.state().jobs, IsEmpty());
  EXPECT_EQ(Step(RetryRequested{"a"}).status().code(), absl::StatusCode::kNotFound);
  controller_.Recall({done.jobs.at("a"), done.jobs.at("b")}, {});
  ASSERT_TRUE(Step(RetryRequested{"a"}).ok());
  EXPECT_EQ(controller_.state().jobs.at("b").state, JobState::kQueued);
}

TEST_F(ControllerTest, LongGoneWorkersLeaveTheList) {
  ASSERT_TRUE(Step(WorkerRegistered{MakeWorker("w1", 1), {}}).ok());
  ASSERT_TRUE(Step(WorkerLeft{"w1", "s-w1"}).ok());
  EXPECT_THAT(Step(Ticked{}, absl::Hours(23)).value().erased_workers, IsEmpty());
  EXPECT_THAT(Step(Ticked{}, absl::Hours(25)).value().erased_workers, SizeIs(1));
}

TEST_F(ControllerTest, StepsStayQuickWithThousandsOfJobs) {
  std::vector<Job> jobs;
  for (int i = 0; i < 5000; ++i) {
    jobs.push_back({.name = absl::StrCat("e/", i, "/train")});
    jobs.push_back({.name = absl::StrCat("e/", i, "/eval"), .upstream = jobs.back().name});
  }
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Step(WorkerRegistered{MakeWorker(absl::StrCat("w", i), 4), {}}).ok());
  ASSERT_TRUE(Step(JobsSubmitted{jobs}).ok());
  const auto begin = std::chrono::steady_clock::now();
  for (int second = 1; second <= 20; ++second) {
    ASSERT_TRUE(Step(Ticked{}, absl::Seconds(second)).ok());
    for (int i = 0; i < 100; ++i) {
      const std::string worker = absl::StrCat("w", i);
      const std::vector<WorkerAssignment> assigned = controller_.Assignments(worker);
      ASSERT_THAT(assigned, SizeIs(4));
      ASSERT_TRUE(Step(WorkerSynchronized{worker, "s-" + worker, {}}, absl::Seconds(second)).ok());
      ASSERT_TRUE(Step(AttemptCompleted{assigned[0].job, 1, worker, "succeeded"}, absl::Seconds(second)).ok());
    }
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  RecordProperty("microseconds_a_step", static_cast<int>(took.count() / 4000 * 1e6));
  EXPECT_LT(took.count() / 4000, 0.002) << "seconds a step";
}

}  // namespace
}  // namespace strata::core
