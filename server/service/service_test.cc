// The services over a real server and the real store: what agents and people see.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "server/base/sha256.h"
#include "server/service/names.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

constexpr char kStarted[] = R"("job": "train", "resumed_from": null, "updates": 600, "unigram_nll": 6.7, "host": "h")";
constexpr char kSucceeded[] =
    R"("state": "succeeded", "updates": 600, "weights_sha256": "w", "best_nll": 5.5, "final_nll": 5.6)";

TEST(WorkerServiceTest, ATrialGoesFromTheQueueToItsScore) {
  TestCluster cluster;
  const std::string digest = cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  v1::SynchronizeResponse sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  const v1::Assignment train = sync.assignments(0);
  EXPECT_EQ(train.kind(), v1::JOB_KIND_TRAIN);
  EXPECT_EQ(train.dataset(), "datasets/tiny");
  EXPECT_EQ(train.dataset_digest(), digest);
  EXPECT_THAT(train.spec_json(), HasSubstr("\"scheme\""));
  EXPECT_EQ(train.checkpoint_artifact(), "");

  int64_t acknowledged = 0;
  ASSERT_TRUE(
      cluster
          .Report(
              "w1", train.attempt(),
              {Event(1, "started", kStarted),
               Event(
                   2, "measurements",
                   R"("update": 0, "scalars": {"valid_nll": 7.5, "train_loss": "NaN"}, "vectors": [{"name": "gradient_norm_output", "stack": "decoder", "values": [1, 2.5]}])"),
               Event(
                   3, "progress",
                   R"("update": 5, "updates": 600, "seconds_per_update": 0.5, "tokens_per_second": 1000, "phase": "train")")},
              &acknowledged)
          .ok());
  EXPECT_EQ(acknowledged, 3);
  v1::Trial trial = cluster.Trial("experiments/small-1/trials/t1");
  EXPECT_EQ(trial.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(trial.updates_done(), 5);
  EXPECT_EQ(trial.unigram_nll(), 6.7);
  EXPECT_EQ(trial.best_nll(), 7.5);
  EXPECT_TRUE(trial.has_estimated_end_time());
  EXPECT_EQ(trial.jobs(0).phase(), "train");

  cluster.Upload(train.attempt(), "checkpoint_final", 600, "weights");
  ASSERT_TRUE(cluster.Report("w1", train.attempt(), {Event(4, "finished", kSucceeded)}).ok());
  ASSERT_TRUE(cluster.Complete("w1", train.attempt(), "succeeded").ok());
  EXPECT_TRUE(cluster.Complete("w1", train.attempt(), "succeeded").ok());  // said twice

  sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  const v1::Assignment evaluate = sync.assignments(0);
  EXPECT_EQ(evaluate.kind(), v1::JOB_KIND_EVALUATE);
  EXPECT_EQ(evaluate.evaluation(), 0);
  EXPECT_EQ(evaluate.checkpoint_sha256(), base::Sha256Hex("weights"));
  ASSERT_TRUE(cluster
                  .Report("w1", evaluate.attempt(),
                          {Event(1, "started", kStarted),
                           Event(2, "measurements", R"("update": 600, "scalars": {"bleu": 12.5})")})
                  .ok());
  ASSERT_TRUE(cluster.Complete("w1", evaluate.attempt(), "succeeded").ok());
  trial = cluster.Trial("experiments/small-1/trials/t1");
  EXPECT_EQ(trial.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(trial.final_nll(), 5.6);
  EXPECT_EQ(trial.jobs(1).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_THAT(trial.jobs(0).attempts(0).environment(), HasSubstr("\"host\":\"h\""));

  grpc::ClientContext context;
  v1::QueryScalarsRequest query;
  query.set_job(train.attempt().job());
  query.set_series("train_loss");
  v1::QueryScalarsResponse points;
  ASSERT_TRUE(cluster.metrics->QueryScalars(&context, query, &points).ok());
  ASSERT_THAT(points.points(), SizeIs(1));
  EXPECT_TRUE(std::isnan(points.points(0).value()));
}

TEST(WorkerServiceTest, ATrialDoneAlreadyIsNotTrainedAgain) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  const v1::AttemptRef train = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", train, {Event(1, "started", kStarted)}).ok());
  cluster.Upload(train, "checkpoint_final", 600, "weights");
  ASSERT_TRUE(cluster.Report("w1", train, {Event(2, "finished", kSucceeded)}).ok());
  ASSERT_TRUE(cluster.Complete("w1", train, "succeeded").ok());
  const v1::AttemptRef evaluate = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Complete("w1", evaluate, "succeeded").ok());

  // The same trial again: shown, not trained.
  cluster.Submit(TestCluster::Spec(), "r2");
  const v1::Trial trial = cluster.Trial("experiments/small-2/trials/t1");
  EXPECT_EQ(trial.reused_from(), "experiments/small-1/trials/t1");
  EXPECT_EQ(trial.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(trial.final_nll(), 5.6);
  EXPECT_EQ(cluster.Job("experiments/small-2/trials/t1/jobs/train").name(), train.job());
  // With another score: only that runs, of the earlier weights.
  v1::ExperimentSpec more = TestCluster::Spec();
  more.mutable_base()->add_evaluate()->set_metric("bleu");
  more.mutable_base()->mutable_evaluate(1)->set_beam(1);
  cluster.Submit(more, "r3");
  const v1::SynchronizeResponse sync = cluster.Sync("w1");
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  EXPECT_EQ(sync.assignments(0).attempt().job(), "experiments/small-3/trials/t1/jobs/evaluate-2");
  EXPECT_EQ(sync.assignments(0).checkpoint_sha256(), base::Sha256Hex("weights"));
  // By force: trained anew.
  cluster.Submit(TestCluster::Spec(), "r4", true);
  EXPECT_EQ(cluster.Trial("experiments/small-4/trials/t1").reused_from(), "");
}

TEST(WorkerServiceTest, EventsAreStoredOnceAndInOrder) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  const auto measurement = [](int64_t seq) {
    return Event(seq, "measurements", absl::StrCat("\"update\": ", seq, R"(, "scalars": {"a": )", seq, "}"));
  };
  int64_t acknowledged = 0;
  ASSERT_TRUE(
      cluster.Report("w1", attempt, {Event(1, "started", kStarted), measurement(2), measurement(3)}, &acknowledged)
          .ok());
  ASSERT_TRUE(cluster.Report("w1", attempt, {measurement(2), measurement(3), measurement(4)}, &acknowledged).ok());
  EXPECT_EQ(acknowledged, 4);
  ASSERT_TRUE(cluster.Report("w1", attempt, {measurement(2)}, &acknowledged).ok());
  EXPECT_EQ(acknowledged, 4);
  grpc::Status status = cluster.Report("w1", attempt, {measurement(7)});
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("5"));
  for (const std::string& bad :
       {std::string("no JSON"), Event(5, "surprise", ""), Event(5, "measurements", ""),
        Event(5, "measurements", R"("update": 1, "scalars": {"a": "x"})"), Event(5, "warning", "", 2)}) {
    status = cluster.Report("w1", attempt, {measurement(5), bad});
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << bad;
  }
  grpc::ClientContext context;
  v1::QueryScalarsRequest query;
  query.set_job(attempt.job());
  query.set_series("a");
  v1::QueryScalarsResponse points;
  ASSERT_TRUE(cluster.metrics->QueryScalars(&context, query, &points).ok());
  EXPECT_THAT(points.points(), SizeIs(3));
  // A restart of the coordinator forgets none of it.
  cluster.Restart();
  cluster.Register("w1", 1, {attempt});
  ASSERT_TRUE(cluster.Report("w1", attempt, {measurement(4), measurement(5)}, &acknowledged).ok());
  EXPECT_EQ(acknowledged, 5);
}

TEST(WorkerServiceTest, GoesOnFromACheckpointOnceFileAndEventAreThere) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  const auto checkpoint = [](int64_t seq, int update, const std::string& content) {
    return Event(seq, "checkpoint",
                 absl::StrCat("\"update\": ", update, R"(, "kind": "resumable", "file": "f", "bytes": 1, "sha256": ")",
                              base::Sha256Hex(content), "\""));
  };
  ASSERT_TRUE(cluster.Report("w1", attempt, {Event(1, "started", kStarted), checkpoint(2, 100, "c100")}).ok());
  cluster.Upload(attempt, "checkpoint_resumable", 100, "c100");
  cluster.Upload(attempt, "checkpoint_resumable", 200, "c200");  // its event has not come: does not count
  ASSERT_TRUE(cluster.Complete("w1", attempt, "failed", "crashed").ok());
  v1::SynchronizeResponse sync;
  for (int i = 0; i < 50 && sync.assignments_size() == 0; ++i) {
    absl::SleepFor(absl::Milliseconds(100));
    sync = cluster.Sync("w1");
  }
  ASSERT_THAT(sync.assignments(), SizeIs(1));
  EXPECT_EQ(sync.assignments(0).attempt().attempt(), 2);
  EXPECT_EQ(sync.assignments(0).checkpoint_sha256(), base::Sha256Hex("c100"));
  // The old attempt may not write any more.
  EXPECT_EQ(cluster.Report("w1", attempt, {checkpoint(3, 200, "c200")}).error_code(), grpc::FAILED_PRECONDITION);
}

TEST(WorkerServiceTest, FallsBackToTheCheckpointBeforeADamagedOne) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  const auto next = [&] {
    v1::SynchronizeResponse sync;
    for (int i = 0; i < 50 && sync.assignments_size() == 0; ++i) {
      absl::SleepFor(absl::Milliseconds(100));
      sync = cluster.Sync("w1");
    }
    return sync.assignments_size() == 0 ? v1::Assignment() : sync.assignments(0);
  };
  const v1::AttemptRef first = next().attempt();
  std::vector<std::string> events = {Event(1, "started", kStarted)};
  for (const int update : {100, 200}) {
    const std::string content = absl::StrCat("c", update);
    cluster.Upload(first, "checkpoint_resumable", update, content);
    events.push_back(Event(
        static_cast<int64_t>(events.size()) + 1, "checkpoint",
        absl::StrCat("\"update\": ", update, R"(, "kind": "resumable", "sha256": ")", base::Sha256Hex(content), "\"")));
  }
  ASSERT_TRUE(cluster.Report("w1", first, events).ok());
  ASSERT_TRUE(cluster.Complete("w1", first, "failed", "crashed").ok());
  const v1::Assignment second = next();
  ASSERT_EQ(second.checkpoint_sha256(), base::Sha256Hex("c200"));
  std::ofstream(absl::StrCat(cluster.folder(), "/artifacts/small-1/t1/", LeafOf(second.checkpoint_artifact())))
      << "cXXX";
  ASSERT_TRUE(cluster.Complete("w1", second.attempt(), "failed", "checkpoint_corrupt").ok());
  const v1::Job job = cluster.Job(first.job());
  EXPECT_EQ(job.cause(), "checkpoint_corrupt");
  EXPECT_THAT(job.message(), HasSubstr("update 100"));
  EXPECT_EQ(next().checkpoint_sha256(), base::Sha256Hex("c100"));
}

// The figures are this service's share of what it must reach; bounds are loose because the machine may be busy.
TEST(MetricServiceTest, TakesAndGivesBackAHistoryOf100000Points) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.Register("w1");
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  ASSERT_TRUE(cluster.Report("w1", attempt, {Event(1, "started", kStarted)}).ok());
  constexpr int kBatches = 50, kBatch = 500, kNames = 4;
  const absl::Time start = absl::Now();
  for (int batch = 0; batch < kBatches; ++batch) {
    std::vector<std::string> events;
    for (int i = 0; i < kBatch; ++i) {
      const int update = batch * kBatch + i;
      events.push_back(Event(
          update + 2, "measurements",
          absl::StrCat(
              "\"update\": ", update,
              R"(, "scalars": {"train_loss": 6.123456789, "train_nll": 5.5, "learning_rate": 0.0001, "gradient_norm": 1.25})")));
    }
    ASSERT_TRUE(cluster.Report("w1", attempt, events).ok());
  }
  const double rows_per_second = kBatches * kBatch * kNames / absl::ToDoubleSeconds(absl::Now() - start);
  const absl::Time read_start = absl::Now();
  int points = 0;
  for (const char* series : {"train_loss", "train_nll", "learning_rate", "gradient_norm"}) {
    grpc::ClientContext context;
    v1::QueryScalarsRequest query;
    query.set_job(attempt.job());
    query.set_series(series);
    query.set_page_size(100000);
    v1::QueryScalarsResponse response;
    ASSERT_TRUE(cluster.metrics->QueryScalars(&context, query, &response).ok());
    points += response.points_size();
  }
  const double read_seconds = absl::ToDoubleSeconds(absl::Now() - read_start);
  EXPECT_EQ(points, kBatches * kBatch * kNames);
  EXPECT_GT(rows_per_second, 2000);
  EXPECT_LT(read_seconds, 5);
  std::cout << "rows stored a second: " << rows_per_second << "; seconds to read 100,000 points: " << read_seconds
            << std::endl;
}

TEST(JobServiceTest, CancelsRetriesAndSaysWhyNot) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  const std::string job = "experiments/small-1/trials/t1/jobs/train";
  const auto steer = [&](bool retry) {
    grpc::ClientContext context;
    v1::Job response;
    v1::RetryJobRequest again;
    again.set_name(job);
    v1::CancelJobRequest cancel;
    cancel.set_name(job);
    return retry ? cluster.jobs->RetryJob(&context, again, &response)
                 : cluster.jobs->CancelJob(&context, cancel, &response);
  };
  EXPECT_EQ(steer(true).error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_TRUE(steer(false).ok());
  EXPECT_TRUE(steer(false).ok());
  EXPECT_EQ(cluster.Job(job).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(cluster.Job("experiments/small-1/trials/t1/jobs/evaluate-1").cause(), "upstream_cancelled");
  EXPECT_TRUE(steer(true).ok());
  EXPECT_EQ(cluster.Job("experiments/small-1/trials/t1/jobs/evaluate-1").state(), v1::JOB_STATE_QUEUED);
}

TEST(ExperimentServiceTest, WatchingShowsAllThenWhatChangesUntilItIsDone) {
  TestCluster cluster;
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  grpc::ClientContext context, cancel_context;
  v1::WatchExperimentRequest request;
  request.set_name("experiments/small-1");
  const auto reader = cluster.experiments->WatchExperiment(&context, request);
  v1::WatchExperimentResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_THAT(response.trials(), SizeIs(1));
  EXPECT_FALSE(response.experiment().done());
  v1::CancelExperimentRequest cancel;
  cancel.set_name("experiments/small-1");
  v1::Experiment experiment;
  ASSERT_TRUE(cluster.experiments->CancelExperiment(&cancel_context, cancel, &experiment).ok());
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.trials(0).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(response.experiment().done());
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST(DatasetServiceTest, RefusesManifestsThatLeadOutOfTheFolder) {
  TestCluster cluster;
  for (const std::string path : {"../x", "/etc/passwd", "a/../../b", ".hidden", "a//b", "manifest.json"}) {
    grpc::ClientContext context;
    v1::CreateDatasetRequest request;
    const std::string hash(64, 'a');
    request.set_manifest(absl::StrCat(R"({"format": 1, "name": "d", "task": "translation", "digest": ")",
                                      base::Sha256Hex(path + " " + hash + "\n"), R"(", "files": [{"path": ")", path,
                                      R"(", "bytes": 1, "sha256": ")", hash, "\"}]}"));
    v1::CreateDatasetResponse response;
    const grpc::Status status = cluster.datasets->CreateDataset(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::INVALID_ARGUMENT) << path;
    EXPECT_THAT(status.error_message(), HasSubstr("path"));
  }
}

TEST(ServerTest, SaysWhatKeepsItFromStarting) {
  TestCluster cluster;
  ServerOptions options;
  options.metrics_listen = "none";
  options.data_dir = cluster.folder() + "-other";
  options.listen = cluster.server().address();
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("in use"));
  options.listen = "0.0.0.0:0";
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("--insecure"));
  options.listen = "127.0.0.1:0";
  options.data_dir = cluster.folder();
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("Another coordinator"));
  options.data_dir = "/proc/nowhere";
  EXPECT_THAT(std::string(Server::Start(options).status().message()), HasSubstr("/proc/nowhere"));
  std::filesystem::remove_all(cluster.folder() + "-other");
}

}  // namespace
}  // namespace strata::service
