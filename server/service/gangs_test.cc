// Jobs of several ranks through the service: where their parts go, hold and priority, cordon and drain.
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

v1::ExperimentSpec Gang(int ranks, int min_ranks = 0) {
  v1::ExperimentSpec spec = TestCluster::Spec();
  spec.mutable_base()->mutable_resources()->set_ranks(ranks);
  spec.mutable_base()->mutable_resources()->set_min_ranks(min_ranks);
  return spec;
}

class GangServiceTest : public testing::Test {
 protected:
  GangServiceTest() { cluster_.AddDataset("tiny"); }
  template <typename Request, typename Response, typename Stub>
  grpc::Status Ask(Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const std::string& name, Response* response) {
    grpc::ClientContext context;
    Request request;
    request.set_name(name);
    return (stub.*method)(&context, request, response);
  }
  v1::Worker Worker(const std::string& name) {
    v1::Worker worker;
    EXPECT_TRUE(Ask(*cluster_.workers, &v1::WorkerService::Stub::GetWorker, "workers/" + name, &worker).ok());
    return worker;
  }
  TestCluster cluster_;
};

TEST_F(GangServiceTest, TheCheckpointGoesToRankZeroOnlyAndTheRanksAreShown) {
  cluster_.Register("w1");
  cluster_.Register("w2");
  const std::string trial = cluster_.Submit(Gang(2), "r1").name() + "/trials/t1", job = trial + "/jobs/train";
  const auto first = cluster_.Sync("w1"), second = cluster_.Sync("w2");
  ASSERT_THAT(first.assignments(), SizeIs(1));
  ASSERT_THAT(second.assignments(), SizeIs(1));
  EXPECT_EQ(first.assignments(0).world_size(), 2);
  const v1::AttemptRef attempt = first.assignments(0).attempt();
  const bool here = first.assignments(0).ranks(0).rank() == 0;
  const std::string zero = here ? "w1" : "w2", other = here ? "w2" : "w1";
  const v1::Artifact uploaded = cluster_.Upload(attempt, "checkpoint_resumable", 5, "state");
  ASSERT_TRUE(cluster_
                  .Report(zero, attempt,
                          {Event(1, "started", R"("resumed_from": null)"),
                           Event(2, "checkpoint",
                                 R"("update": 5, "kind": "resumable", "sha256": ")" + uploaded.sha256() + "\"")})
                  .ok());
  EXPECT_EQ(cluster_.Job(job).attempts(0).ranks(), 2);
  // One rank fails; its peer tells afterwards where it stood.
  for (const auto& [worker, rank, sequence, cause] :
       {std::tuple(other, 1, 11, "crashed"), std::tuple(zero, 0, 12, "rank_lost")}) {
    grpc::ClientContext context;
    v1::CompleteAttemptRequest request;
    request.set_worker("workers/" + worker);
    request.set_session(cluster_.session(worker));
    *request.mutable_attempt() = attempt;
    request.set_outcome("failed");
    request.set_cause(cause);
    request.set_message("It went away.");
    v1::RankPosition* position = request.add_positions();
    position->set_rank(rank);
    position->set_sequence(sequence);
    position->set_name("update 5");
    v1::CompleteAttemptResponse response;
    EXPECT_TRUE(cluster_.workers->CompleteAttempt(&context, request, &response).ok());
  }
  const v1::Attempt told = cluster_.Job(job).attempts(0);
  EXPECT_EQ(told.cause(), "crashed");
  EXPECT_EQ(told.message(),
            "It went away. Rank 1 is behind, at collective 11 (update 5). Rank 0 stood at collective 12 "
            "(update 5).");
  absl::SleepFor(absl::Milliseconds(2300));
  int with_checkpoint = 0;
  for (const char* worker : {"w1", "w2"}) {
    const auto sync = cluster_.Sync(worker);
    ASSERT_THAT(sync.assignments(), SizeIs(1));
    const bool has = !sync.assignments(0).checkpoint_artifact().empty();
    EXPECT_EQ(has, sync.assignments(0).ranks(0).rank() == 0);
    with_checkpoint += has;
  }
  EXPECT_EQ(with_checkpoint, 1);
}

TEST_F(GangServiceTest, WhatNoClusterHereCanHoldIsRefusedAndNothingIsStored) {
  const std::string waits = cluster_.Submit(Gang(9), "r0").name();  // nobody is here yet: it waits
  cluster_.Register("w1", 2);
  grpc::ClientContext context;
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = Gang(4);
  request.set_request_id("r1");
  v1::CreateExperimentResponse response;
  const grpc::Status refused = cluster_.experiments->CreateExperiment(&context, request, &response);
  grpc::ClientContext dry;
  request.set_validate_only(true);
  EXPECT_EQ(cluster_.experiments->CreateExperiment(&dry, request, &response).error_message(), refused.error_message());
  EXPECT_EQ(refused.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(refused.error_message(),
              HasSubstr("INFEASIBLE: resources.ranks is 4; the worker that is connected has 2"));
  const v1::Experiment elastic = cluster_.Submit(Gang(4, 2), "r1");
  EXPECT_EQ(cluster_.Sync("w1").assignments(0).world_size(), 2);
  EXPECT_THAT(cluster_.Job(waits + "/trials/t1/jobs/train").waiting_for(), HasSubstr("Infeasible now"));
}

TEST_F(GangServiceTest, HeldExperimentsWaitAndAHigherPriorityComesFirst) {
  v1::ExperimentSpec high = Gang(1);
  high.set_priority(7);
  high.mutable_base()->mutable_train()->set_seed(2);
  const std::string low = cluster_.Submit(Gang(1), "r1").name(), later = cluster_.Submit(high, "r2").name();
  v1::Experiment experiment;
  ASSERT_TRUE(Ask(*cluster_.experiments, &v1::ExperimentService::Stub::HoldExperiment, later, &experiment).ok());
  EXPECT_TRUE(cluster_.Job(later + "/trials/t1/jobs/train").held());
  EXPECT_EQ(cluster_.Job(later + "/trials/t1/jobs/train").priority(), 7);
  v1::Job job;
  ASSERT_TRUE(Ask(*cluster_.jobs, &v1::JobService::Stub::HoldJob, low + "/trials/t1/jobs/train", &job).ok());
  EXPECT_TRUE(job.held());
  cluster_.Restart();
  cluster_.Register("w1");
  EXPECT_THAT(cluster_.Sync("w1").assignments(), SizeIs(0));
  ASSERT_TRUE(Ask(*cluster_.experiments, &v1::ExperimentService::Stub::ReleaseExperiment, later, &experiment).ok());
  ASSERT_TRUE(Ask(*cluster_.jobs, &v1::JobService::Stub::ReleaseJob, low + "/trials/t1/jobs/train", &job).ok());
  EXPECT_FALSE(job.held());
  const auto sync = cluster_.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  EXPECT_THAT(sync.assignments(0).attempt().job(), HasSubstr(later));
}

TEST_F(GangServiceTest, ADrainedWorkerStopsWithACheckpointAndLeaves) {
  cluster_.Register("w1");
  const std::string job = cluster_.Submit(Gang(1), "r1").name() + "/trials/t1/jobs/train";
  const v1::AttemptRef attempt = cluster_.Sync("w1").assignments(0).attempt();
  v1::Worker worker;
  ASSERT_TRUE(Ask(*cluster_.workers, &v1::WorkerService::Stub::DrainWorker, "workers/w1", &worker).ok());
  EXPECT_TRUE(worker.cordoned() && worker.draining());
  const auto stop = cluster_.Sync("w1", {attempt});
  ASSERT_THAT(stop.assignments(), SizeIs(1));
  EXPECT_TRUE(stop.assignments(0).stop() && stop.assignments(0).checkpoint());
  EXPECT_FALSE(stop.leave());
  ASSERT_TRUE(cluster_.Complete("w1", attempt, "stopped").ok());
  EXPECT_TRUE(cluster_.Sync("w1").leave());
  EXPECT_EQ(cluster_.Job(job).attempts(0).message(), "Stopped because worker w1 is drained.");
  cluster_.Register("w2");
  absl::SleepFor(absl::Milliseconds(2300));
  EXPECT_THAT(cluster_.Sync("w2").assignments(), SizeIs(1));
  ASSERT_TRUE(Ask(*cluster_.workers, &v1::WorkerService::Stub::UncordonWorker, "workers/w1", &worker).ok());
  EXPECT_FALSE(cluster_.Sync("w1").leave());
  ASSERT_TRUE(Ask(*cluster_.workers, &v1::WorkerService::Stub::CordonWorker, "workers/w1", &worker).ok());
  EXPECT_TRUE(Worker("w1").cordoned());
  EXPECT_EQ(Ask(*cluster_.workers, &v1::WorkerService::Stub::DrainWorker, "workers/w9", &worker).error_code(),
            grpc::NOT_FOUND);
}

}  // namespace
}  // namespace strata::service
