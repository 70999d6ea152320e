// Probes, plans, extensions and averages, over a real server and the real store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/sha256.h"
#include "server/service/names.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kTrial[] = "experiments/small-1/trials/t1";

std::string Started(const std::string& resumed_from = "null", const std::string& job = "train") {
  return Event(1, "started",
               absl::StrCat(R"("job": ")", job, R"(", "resumed_from": )", resumed_from, R"(, "unigram_nll": 6.7)"));
}

std::string Checkpoint(int64_t seq, const std::string& kind, int update, const std::string& content) {
  return Event(seq, "checkpoint",
               absl::StrCat("\"update\": ", update, R"(, "kind": ")", kind, R"(", "sha256": ")",
                            base::Sha256Hex(content), "\""));
}

std::string Finished(int64_t seq, int updates, const std::string& state = "succeeded") {
  return Event(
      seq, "finished",
      absl::StrCat(R"("state": ")", state, R"(", "updates": )", updates, R"(, "best_nll": 5.5, "final_nll": 5.6)"));
}

std::string Nll(int64_t seq, int update, double value) {
  return Event(
      seq, "measurements",
      absl::StrCat("\"update\": ", update, R"(, "scalars": {"valid_nll": )", value,
                   R"(}, "vectors": [{"name": "gradient_norm_output", "stack": "decoder", "values": [)", value, "]}]"));
}

// Trains what w1 is assigned from the beginning to `updates`, with a checkpoint there; returns the attempt.
v1::AttemptRef Train(TestCluster& cluster, int updates) {
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  EXPECT_TRUE(cluster
                  .Report("w1", attempt,
                          {Started(), Nll(2, 0, 7.5), Nll(3, updates, 6.5), Checkpoint(4, "best", updates, "best"),
                           Checkpoint(5, "resumable", updates, "state")})
                  .ok());
  cluster.Upload(attempt, "checkpoint_best", updates, "best");
  cluster.Upload(attempt, "checkpoint_resumable", updates, "state");
  cluster.Upload(attempt, "checkpoint_final", updates, "final");
  EXPECT_TRUE(cluster.Report("w1", attempt, {Finished(6, updates)}).ok());
  EXPECT_TRUE(cluster.Complete("w1", attempt, "succeeded").ok());
  return attempt;
}

v1::ExperimentSpec WithoutScores(int updates = 600) {
  v1::ExperimentSpec spec = TestCluster::Spec();
  spec.mutable_base()->clear_evaluate();
  spec.mutable_base()->mutable_train()->set_updates(updates);
  return spec;
}

grpc::Status Create(TestCluster& cluster, const v1::ExperimentSpec& spec, v1::Estimate* estimate = nullptr) {
  grpc::ClientContext context;
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = spec;
  request.set_validate_only(true);
  v1::CreateExperimentResponse response;
  const grpc::Status status = cluster.experiments->CreateExperiment(&context, request, &response);
  if (estimate != nullptr) *estimate = response.estimate();
  return status;
}

std::vector<int> UpdatesOf(TestCluster& cluster, const std::string& job, const std::string& series) {
  grpc::ClientContext context;
  v1::QueryScalarsRequest query;
  query.set_job(job);
  query.set_series(series);
  v1::QueryScalarsResponse points;
  EXPECT_TRUE(cluster.metrics->QueryScalars(&context, query, &points).ok());
  std::vector<int> updates;
  for (const v1::ScalarPoint& point : points.points()) updates.push_back(point.update());
  return updates;
}

std::vector<std::string> Artifacts(TestCluster& cluster, const std::string& trial) {
  grpc::ClientContext context;
  v1::ListArtifactsRequest request;
  request.set_parent(trial);
  v1::ListArtifactsResponse response;
  EXPECT_TRUE(cluster.artifacts->ListArtifacts(&context, request, &response).ok());
  std::vector<std::string> found;
  for (const v1::Artifact& artifact : response.artifacts())
    found.push_back(absl::StrCat(artifact.kind(), "@", artifact.update()));
  return found;
}

TEST(ProbeTest, ATrialIsItsProbeJobAndIsNotDoneTwice) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  v1::ExperimentSpec spec = TestCluster::Spec();
  spec.set_probe_only(true);
  cluster.Submit(spec, "r1");
  cluster.Register("w1");
  const v1::SynchronizeResponse sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  const v1::AttemptRef probe = sync.assignments(0).attempt();
  EXPECT_EQ(sync.assignments(0).kind(), v1::JOB_KIND_PROBE);
  EXPECT_EQ(probe.job(), absl::StrCat(kTrial, "/jobs/probe"));
  // Rows of 100 x 100 layers pass; more than the limit is refused, with the limit.
  const auto similarity = [](int values) {
    return Event(
        2, "measurements",
        absl::StrCat(
            R"("update": 0, "scalars": {"gradient_ratio": 0.5}, "vectors": [{"name": "similarity", "stack": "encoder", "values": [)",
            absl::StrJoin(std::vector<double>(values, -0.123456789012345678), ","), "]}]"));
  };
  EXPECT_THAT(cluster.Report("w1", probe, {Started("null", "probe"), similarity(16385)}).error_message(),
              HasSubstr("16384"));
  ASSERT_TRUE(cluster.Report("w1", probe, {Started("null", "probe"), similarity(10000), Finished(3, 0)}).ok());
  EXPECT_EQ(cluster.Trial(kTrial).state(), v1::JOB_STATE_RUNNING);
  ASSERT_TRUE(cluster.Complete("w1", probe, "succeeded").ok());
  const v1::Trial trial = cluster.Trial(kTrial);
  EXPECT_EQ(trial.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(trial.jobs(), SizeIs(1));
  grpc::ClientContext context;
  v1::GetExperimentRequest get;
  get.set_name("experiments/small-1");
  v1::Experiment experiment;
  ASSERT_TRUE(cluster.experiments->GetExperiment(&context, get, &experiment).ok());
  EXPECT_TRUE(experiment.done());
  ASSERT_THAT(experiment.states(), SizeIs(1));
  EXPECT_EQ(experiment.states(0).state(), v1::JOB_STATE_SUCCEEDED);
  // The trial stands for its probe, also where a training is named.
  EXPECT_THAT(UpdatesOf(cluster, absl::StrCat(kTrial, "/jobs/train"), "gradient_ratio"), ElementsAre(0));
  // Done already, whatever the number of updates; a training is another thing.
  spec.mutable_base()->mutable_train()->set_updates(700);
  cluster.Submit(spec, "r2");
  EXPECT_EQ(cluster.Trial("experiments/small-2/trials/t1").reused_from(), kTrial);
  cluster.Submit(spec, "r3", /*force=*/true);
  EXPECT_EQ(cluster.Trial("experiments/small-3/trials/t1").reused_from(), "");
  cluster.Submit(TestCluster::Spec(), "r4");
  EXPECT_EQ(cluster.Trial("experiments/small-4/trials/t1").reused_from(), "");
}

TEST(PlanTest, SaysWhatThereWouldBeWithoutDatasets) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(WithoutScores(), "r1");
  cluster.Register("w1");
  Train(cluster, 600);
  v1::PlanExperimentRequest request;
  *request.mutable_spec() = WithoutScores();
  auto* axis = request.mutable_spec()->add_axes();
  axis->set_field("task.dataset");
  axis->add_values("tiny");
  axis->add_values("none-such");
  v1::PlanExperimentResponse plan;
  {
    grpc::ClientContext context;
    const grpc::Status status = cluster.experiments->PlanExperiment(&context, request, &plan);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  ASSERT_THAT(plan.trials(), SizeIs(2));
  EXPECT_EQ(plan.trials(0).reused_from(), kTrial);
  EXPECT_EQ(plan.trials(0).vocabulary(), 4000);
  EXPECT_EQ(plan.trials(0).cell(0).value(), "tiny");
  EXPECT_EQ(plan.trials(0).spec().train().max_tokens(), 3584);
  EXPECT_EQ(plan.trials(1).reused_from(), "");
  EXPECT_EQ(plan.trials(1).vocabulary(), 0);
  request.set_force(true);
  grpc::ClientContext context;
  plan.Clear();
  ASSERT_TRUE(cluster.experiments->PlanExperiment(&context, request, &plan).ok());
  EXPECT_EQ(plan.trials(0).reused_from(), "");
}

TEST(ExtensionTest, GoesOnFromTheLastCheckpointWithAllThatWasMeasured) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(WithoutScores(600), "r1");
  cluster.Register("w1");
  const v1::AttemptRef source = Train(cluster, 600);
  EXPECT_THAT(Artifacts(cluster, kTrial), testing::Contains("checkpoint_resumable@600"));

  v1::ExperimentSpec more = WithoutScores(900);
  more.set_extends("experiments/small-1");
  cluster.Submit(more, "r2");
  const std::string extended = "experiments/small-2/trials/t1", job = extended + "/jobs/train";
  cluster.Restart();
  cluster.Register("w1");
  EXPECT_EQ(cluster.Trial(extended).extended_from(), kTrial);
  EXPECT_EQ(cluster.Trial(extended).updates_done(), 600);
  EXPECT_THAT(UpdatesOf(cluster, job, "valid_nll"), ElementsAre(0, 600));

  const v1::SynchronizeResponse sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  EXPECT_EQ(sync.assignments(0).checkpoint_sha256(), base::Sha256Hex("state"));
  const v1::AttemptRef attempt = sync.assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", attempt, {Started("600"), Nll(2, 900, 6.0)}).ok());
  EXPECT_THAT(UpdatesOf(cluster, job, "valid_nll"), ElementsAre(0, 600, 900));
  cluster.Upload(attempt, "checkpoint_final", 900, "final 900");
  ASSERT_TRUE(cluster.Report("w1", attempt, {Finished(3, 900)}).ok());
  ASSERT_TRUE(cluster.Complete("w1", attempt, "succeeded").ok());
  // What the source measured and left is its own still.
  EXPECT_THAT(UpdatesOf(cluster, source.job(), "valid_nll"), ElementsAre(0, 600));
  EXPECT_THAT(Artifacts(cluster, extended), testing::IsSupersetOf({"checkpoint_best@600", "checkpoint_final@900"}));
  // A training of that length is done now, whoever asks.
  cluster.Submit(WithoutScores(900), "r3");
  EXPECT_EQ(cluster.Trial("experiments/small-3/trials/t1").reused_from(), extended);
}

TEST(ExtensionTest, RefusesFewerUpdatesAndTrainingsUnderWay) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(WithoutScores(600), "r1");
  v1::ExperimentSpec spec = WithoutScores(900);
  spec.set_extends("experiments/small-1");
  grpc::Status status = Create(cluster, spec);
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("small-1/t1 is still QUEUED"));
  cluster.Register("w1");
  Train(cluster, 600);
  spec.mutable_base()->mutable_train()->set_updates(500);
  status = Create(cluster, spec);
  EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("train.updates is 500, but small-1/t1 was submitted with 600"));
  spec.set_extends("experiments/none-9");
  EXPECT_EQ(Create(cluster, spec).error_code(), grpc::NOT_FOUND);
  spec.set_extends("experiments/small-1");
  spec.set_probe_only(true);
  EXPECT_THAT(Create(cluster, spec).error_message(), HasSubstr("a probe trains nothing"));
}

TEST(ExtensionTest, TakesOnlyWhatDiffersInUpdatesAndCountsTheRest) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(WithoutScores(600), "r1");
  cluster.Register("w1");
  Train(cluster, 600);
  v1::ExperimentSpec spec = WithoutScores(900);
  spec.set_extends("experiments/small-1");
  auto* axis = spec.add_axes();
  axis->set_field("seed");
  axis->add_values("1");
  axis->add_values("2");
  v1::Estimate estimate;
  ASSERT_TRUE(Create(cluster, spec, &estimate).ok());
  EXPECT_EQ(estimate.updates(), 300 + 900);
  EXPECT_THAT(estimate.basis(), HasSubstr("measured on this cluster"));
  EXPECT_THAT(estimate.basis(), HasSubstr("1 trial goes on from a checkpoint, 1 from the beginning"));
  cluster.Submit(spec, "r2");
  EXPECT_EQ(cluster.Trial("experiments/small-2/trials/t1").extended_from(), kTrial);
  EXPECT_EQ(cluster.Trial("experiments/small-2/trials/t2").extended_from(), "");
}

TEST(ExtensionTest, WhatDivergedBeforeItsEndStandsForLongerTrainings) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(WithoutScores(600), "r1");
  cluster.Register("w1");
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", attempt, {Started(), Nll(2, 450, 6.5), Finished(3, 450, "diverged")}).ok());
  ASSERT_TRUE(cluster.Complete("w1", attempt, "diverged").ok());
  v1::ExperimentSpec spec = WithoutScores(900);
  spec.set_extends("experiments/small-1");
  cluster.Submit(spec, "r2");
  const v1::Trial trial = cluster.Trial("experiments/small-2/trials/t1");
  EXPECT_EQ(trial.state(), v1::JOB_STATE_DIVERGED);
  EXPECT_EQ(trial.reused_from(), kTrial);
}

TEST(EpochTest, TheLastOnesAreKeptOnceEachAndAveraged) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  v1::ExperimentSpec spec = TestCluster::Spec();
  spec.mutable_base()->mutable_train()->set_keep_epoch_checkpoints(3);
  spec.mutable_base()->mutable_evaluate(0)->set_checkpoint("average");
  spec.mutable_base()->mutable_evaluate(0)->set_average_last(2);
  cluster.Submit(spec, "r1");
  cluster.Register("w1");
  const v1::AttemptRef first = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", first, {Started(), Checkpoint(2, "resumable", 20, "state 20")}).ok());
  for (const int update : {10, 20, 30})
    cluster.Upload(first, "checkpoint_epoch", update, absl::StrCat("epoch ", update));
  cluster.Upload(first, "checkpoint_resumable", 20, "state 20");
  ASSERT_TRUE(cluster.Complete("w1", first, "failed", "crashed").ok());
  v1::SynchronizeResponse sync;
  for (int i = 0; i < 50 && sync.assignments_size() == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    sync = cluster.Sync("w1");
  }
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  const v1::AttemptRef second = sync.assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", second, {Event(1, "started", R"("job": "train", "resumed_from": 20)", 2)}).ok());
  // The epoch of update 30 again: it is here already.
  grpc::ClientContext context;
  v1::StartUploadRequest start;
  start.set_job(second.job());
  start.set_attempt(2);
  start.set_kind("checkpoint_epoch");
  start.set_sha256(base::Sha256Hex("epoch 30"));
  start.set_bytes(8);
  start.set_update(30);
  start.set_file_name("epoch-00000030.safetensors");
  v1::StartUploadResponse started;
  ASSERT_TRUE(cluster.artifacts->StartUpload(&context, start, &started).ok());
  EXPECT_EQ(started.artifact().attempt(), 1);
  cluster.Upload(second, "checkpoint_epoch", 40, "epoch 40");
  EXPECT_THAT(Artifacts(cluster, kTrial),
              testing::IsSupersetOf({"checkpoint_epoch@40", "checkpoint_epoch@30", "checkpoint_epoch@20"}));
  EXPECT_THAT(Artifacts(cluster, kTrial), testing::Not(testing::Contains("checkpoint_epoch@10")));
  cluster.Upload(second, "checkpoint_final", 600, "final");
  ASSERT_TRUE(cluster.Report("w1", second, {Event(2, "finished", R"("state": "succeeded", "updates": 600)", 2)}).ok());
  ASSERT_TRUE(cluster.Complete("w1", second, "succeeded").ok());
  sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  const v1::Assignment evaluate = sync.assignments(0);
  EXPECT_EQ(evaluate.checkpoint_artifact(), "");
  ASSERT_THAT(evaluate.averaged(), SizeIs(2));
  EXPECT_EQ(evaluate.averaged(0).sha256(), base::Sha256Hex("epoch 30"));
  EXPECT_EQ(evaluate.averaged(1).sha256(), base::Sha256Hex("epoch 40"));
  for (const char* kind : {"hypotheses-newstest2014", "n-best", "sentence_scores", "initialisation"})
    EXPECT_EQ(cluster.Upload(evaluate.attempt(), kind, 0, "text").kind(), kind);
}

TEST(EpochTest, WithoutAnyTheFinalWeightsStand) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  v1::ExperimentSpec spec = TestCluster::Spec();
  spec.mutable_base()->mutable_train()->set_keep_epoch_checkpoints(10);
  spec.mutable_base()->mutable_evaluate(0)->set_checkpoint("average");
  cluster.Submit(spec, "r1");
  cluster.Register("w1");
  Train(cluster, 600);
  const v1::SynchronizeResponse sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  EXPECT_THAT(sync.assignments(0).averaged(), IsEmpty());
  EXPECT_EQ(sync.assignments(0).checkpoint_sha256(), base::Sha256Hex("final"));
}

}  // namespace
}  // namespace strata::service
