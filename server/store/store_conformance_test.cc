// What every store does, run over both of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "server/base/ids.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"

namespace strata::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kTime = absl::FromUnixMicros(1700000000123456);
const char kTrial[] = "experiments/e-1/trials/t1";
const char kJob[] = "experiments/e-1/trials/t1/jobs/train";

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Store>(const std::string& folder)> make;
};

class StoreConformanceTest : public testing::TestWithParam<Kind> {
 protected:
  StoreConformanceTest() : folder_(testing::TempDir() + "/store_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    store_ = GetParam().make(folder_);
  }
  ~StoreConformanceTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(folder_);
  }

  absl::Status Apply(std::vector<Write> writes) { return store_->Apply({.writes = std::move(writes)}); }

  // One experiment with one trial, its TRAIN job, and two attempts.
  void AddJob() {
    core::Job job{.name = kJob, .trial = kTrial, .order = 1, .attempts = 2, .create_time = kTime};
    ASSERT_EQ(
        Apply({InsertExperiment{{1, "experiments/e-1", "request-1", "{}", kTime, 1}},
               InsertTrial{{.name = kTrial,
                            .experiment = "experiments/e-1",
                            .spec_json = "{}",
                            .fingerprint = "f",
                            .updates = 10}},
               PutJob{job}, LinkJob{kTrial, "train", kJob}, PutAttempt{{.job = kJob, .number = 1, .start_time = kTime}},
               PutAttempt{{.job = kJob, .number = 2, .start_time = kTime}}}),
        absl::OkStatus());
  }
  absl::Status PutScalar(int32_t attempt, const std::string& series, int32_t update, double value) {
    return Apply({PutScalars{kJob, attempt, {{series, update, value}}}});
  }
  std::vector<std::pair<int32_t, double>> Scalars(const std::string& series) {
    std::vector<std::pair<int32_t, double>> out;
    const auto points = store_->Scalars(kJob, series, 0, 1000);
    for (const ScalarPoint& point : *points) out.emplace_back(point.update, point.value);
    return out;
  }

  const std::string folder_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, StoreConformanceTest,
    testing::Values(Kind{"memory", [](const std::string&) { return MakeMemoryStore(); }},
                    Kind{"sqlite", [](const std::string& folder) { return *OpenSqliteStore(folder + "/strata.db"); }}),
    [](const auto& info) { return info.param.name; });

TEST_P(StoreConformanceTest, IsEmptyAtFirst) {
  EXPECT_EQ(*store_->NextExperimentId(), 1);
  EXPECT_THAT(*store_->ListExperiments(100, 10), IsEmpty());
  EXPECT_FALSE(store_->FindJob("x")->has_value());
  EXPECT_THAT(store_->LoadState()->jobs, IsEmpty());
}

// Rows with nothing at its default.
core::Job WholeJob() {
  return {.name = "experiments/e-7/trials/t1/jobs/evaluate-1",
          .trial = "experiments/e-7/trials/t1",
          .kind = core::JobKind::kEvaluate,
          .state = core::JobState::kDiverged,
          .cause = "c",
          .message = "m",
          .upstream = "u",
          .accepts_diverged = true,
          .order = 4,
          .priority = -7,
          .held = true,
          .ranks = 2,
          .min_ranks = 1,
          .global_batch = 8,
          .attempts = 1,
          .failures = 1,
          .max_attempts = 3,
          .not_before = kTime,
          .create_time = kTime,
          .end_time = kTime + absl::Seconds(1),
          .checkpoint_update = 40};
}

core::Attempt WholeAttempt() {
  return {.job = WholeJob().name,
          .number = 1,
          .places = {{.rank = 1,
                      .worker = "w1",
                      .slot = 3,
                      .up = true,
                      .done = true,
                      .sequence = 812,
                      .collective = "update 9, bucket 1"}},
          .start_time = kTime,
          .outcome = "failed",
          .cause = "x",
          .message = "y",
          .rendezvous = "h:1",
          .ranks_up = 1,
          .stop_reason = "Stopped to go on with 2 ranks."};
}

core::Worker WholeWorker() {
  return {.name = "w1",
          .uid = "u",
          .session = "s",
          .slots = {{2, "cpu", "0-1"}},
          .state = core::WorkerState::kLost,
          .last_seen = kTime,
          .lease_end = kTime,
          .version = "v",
          .host = "h",
          .advertise_address = "a",
          .metrics_address = "a:9",
          .cordoned = true,
          .draining = true};
}

TEST_P(StoreConformanceTest, GivesBackExperimentsTrialsAndJobsAsTheyWereStored) {
  const Experiment experiment{7, "experiments/e-7", "request-7", R"({"a":"ü"})", kTime, 2};
  const Trial trial{.name = "experiments/e-7/trials/t1",
                    .experiment = "experiments/e-7",
                    .position = 0,
                    .spec_json = "{\"x\":1}",
                    .fingerprint = "abc",
                    .dataset = "d",
                    .dataset_digest = "dd",
                    .cost_class = "cc",
                    .updates = 600};
  core::Job job = WholeJob();
  const core::Attempt attempt = WholeAttempt();
  const core::Worker worker = WholeWorker();
  ASSERT_EQ(Apply({InsertExperiment{experiment}, InsertTrial{trial}, PutJob{job},
                   LinkJob{trial.name, "evaluate-1", job.name}, PutAttempt{attempt}, PutWorker{worker}}),
            absl::OkStatus());
  EXPECT_EQ(*store_->NextExperimentId(), 8);
  EXPECT_EQ(**store_->FindExperiment(experiment.name), experiment);
  EXPECT_EQ(**store_->FindRequest("request-7"), experiment);
  EXPECT_EQ(**store_->FindTrial(trial.name), trial);
  EXPECT_THAT(*store_->ListTrials(experiment.name, 0, 10), ElementsAre(trial));
  EXPECT_THAT(*store_->ListTrials(experiment.name, 1, 10), IsEmpty());
  EXPECT_THAT(*store_->TrialsWithFingerprint("abc"), ElementsAre(trial));
  EXPECT_THAT(*store_->JobsOfTrial(trial.name), ElementsAre(TrialJob{trial.name, "evaluate-1", job}));
  EXPECT_THAT(*store_->JobsOfExperiment(experiment.name), SizeIs(1));
  EXPECT_THAT(*store_->ListJobs(4, 10), ElementsAre(job));
  EXPECT_THAT(*store_->ListJobs(5, 10), IsEmpty());
  const core::State state = *store_->LoadState();
  EXPECT_EQ(state.jobs.at(job.name), job);
  EXPECT_EQ(state.workers.at("w1"), worker);
  EXPECT_EQ(state.attempts.at({job.name, 1}), attempt);
  job.state = core::JobState::kQueued;
  job.not_before = absl::InfinitePast();
  job.end_time = absl::InfiniteFuture();
  job.priority = 3;
  job.held = false;
  ASSERT_EQ(Apply({PutJob{job}, EraseWorker{"w1"}}), absl::OkStatus());
  EXPECT_EQ(**store_->FindJob(job.name), job);
  EXPECT_THAT(store_->LoadState()->workers, IsEmpty());
}

TEST_P(StoreConformanceTest, RefusesASecondExperimentOfOneRequest) {
  AddJob();
  const absl::Status status = Apply({InsertExperiment{{2, "experiments/e-2", "request-1", "{}", kTime, 1}}});
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_FALSE(store_->FindExperiment("experiments/e-2")->has_value());
}

TEST_P(StoreConformanceTest, AFailingTransactionLeavesNoTrace) {
  AddJob();
  EXPECT_FALSE(Apply({PutScalars{kJob, 1, {{"a", 1, 1.0}}}, PutScalars{"no such job", 1, {{"a", 1, 1.0}}}}).ok());
  EXPECT_THAT(Scalars("a"), IsEmpty());
}

TEST_P(StoreConformanceTest, AFailureFailsWhatRestsOnIt) {
  AddJob();
  EXPECT_FALSE(store_->Apply({.epoch = 5, .writes = {PutScalars{"no such job", 1, {{"a", 1, 1.0}}}}}).ok());
  EXPECT_EQ(store_->Apply({.epoch = 5, .writes = {PutScalars{kJob, 1, {{"a", 1, 1.0}}}}}).code(),
            absl::StatusCode::kAborted);
  EXPECT_TRUE(store_->Apply({.epoch = 6, .writes = {PutScalars{kJob, 1, {{"a", 2, 1.0}}}}}).ok());
  EXPECT_TRUE(store_->Apply({.writes = {PutScalars{kJob, 1, {{"a", 3, 1.0}}}}}).ok());
  EXPECT_THAT(Scalars("a"), SizeIs(2));
}

TEST_P(StoreConformanceTest, MovesACursorOnlyFromWhereItStands) {
  AddJob();
  EXPECT_TRUE(Apply({AdvanceCursor{kJob, 1, 0, 0, 10}}).ok());
  EXPECT_EQ(Apply({AdvanceCursor{kJob, 1, 0, 0, 12}, PutScalars{kJob, 1, {{"a", 1, 1.0}}}}).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Apply({AdvanceCursor{kJob, 1, 0, 10, 12}, AdvanceCursor{kJob, 1, 1, 0, 5}}).ok());
  EXPECT_THAT(*store_->Cursors(kJob, 1), ElementsAre(std::pair(0, 12), std::pair(1, 5)));
  EXPECT_THAT(Scalars("a"), IsEmpty());
}

TEST_P(StoreConformanceTest, KeepsNumbersThatAreNotFinite) {
  AddJob();
  const double infinity = std::numeric_limits<double>::infinity();
  ASSERT_TRUE(Apply({PutScalars{kJob, 1, {{"a", 1, std::nan("")}, {"a", 2, infinity}, {"a", 3, -infinity}}},
                     PutVectors{kJob, 1, {{"encoder", "v", 1, {1.5, std::nan(""), -infinity}}}}})
                  .ok());
  const auto scalars = *store_->Scalars(kJob, "a", 0, 10);
  ASSERT_THAT(scalars, SizeIs(3));
  EXPECT_TRUE(std::isnan(scalars[0].value));
  EXPECT_EQ(scalars[1].value, infinity);
  EXPECT_EQ(scalars[2].value, -infinity);
  const auto vectors = *store_->Vectors(kJob, "encoder", "v", 0, 10);
  ASSERT_THAT(vectors, SizeIs(1));
  EXPECT_EQ(vectors[0].values[0], 1.5);
  EXPECT_TRUE(std::isnan(vectors[0].values[1]));
  EXPECT_EQ(vectors[0].values[2], -infinity);
}

TEST_P(StoreConformanceTest, OneValueAStepTheLatestAttempts) {
  AddJob();
  ASSERT_TRUE(PutScalar(1, "a", 10, 1.0).ok());
  ASSERT_TRUE(PutScalar(2, "a", 10, 2.0).ok());
  ASSERT_TRUE(PutScalar(1, "a", 10, 3.0).ok());
  EXPECT_THAT(Scalars("a"), ElementsAre(std::pair(10, 2.0)));
}

TEST_P(StoreConformanceTest, AResumeSupersedesWhatLiesBeyondItsCheckpoint) {
  AddJob();
  for (const int update : {10, 20, 30}) {
    ASSERT_TRUE(
        Apply({PutScalars{kJob, 1, {{"a", update, 1.0}}}, PutVectors{kJob, 1, {{"decoder", "v", update, {1.0}}}}})
            .ok());
  }
  ASSERT_TRUE(Apply({RecordStart{kJob, 2, "{}", 20}, PutScalars{kJob, 2, {{"a", 25, 2.0}}}}).ok());
  EXPECT_THAT(Scalars("a"), ElementsAre(std::pair(10, 1.0), std::pair(20, 1.0), std::pair(25, 2.0)));
  EXPECT_THAT(*store_->Vectors(kJob, "decoder", "v", 0, 10), SizeIs(2));
  EXPECT_EQ((*store_->AttemptsOfJob(kJob))[1].resumed_from, 20);
  ASSERT_TRUE(Apply({RecordStart{kJob, 2, "{}", std::nullopt}}).ok());
  EXPECT_THAT(Scalars("a"), ElementsAre(std::pair(25, 2.0)));
}

TEST_P(StoreConformanceTest, AnExtensionHasTheSourcesRowsUntilItMeasuresItsOwn) {
  AddJob();
  for (const int update : {10, 20, 30}) {
    ASSERT_TRUE(
        Apply({PutScalars{kJob, 2, {{"a", update, 1.0}}}, PutVectors{kJob, 2, {{"decoder", "v", update, {1.0}}}}})
            .ok());
  }
  const std::string trial = "experiments/e-1/trials/t2", job = trial + "/jobs/train";
  const Trial row{.name = trial, .experiment = "experiments/e-1", .position = 1, .extended_from = kTrial};
  ASSERT_EQ(Apply({InsertTrial{row}, PutJob{{.name = job, .trial = trial, .order = 2, .create_time = kTime}},
                   CopyMeasurements{kJob, job, 20}}),
            absl::OkStatus());
  EXPECT_EQ((*store_->FindTrial(trial))->extended_from, kTrial);
  EXPECT_THAT(*store_->Scalars(job, "a", 0, 10), SizeIs(2));
  EXPECT_THAT(*store_->Vectors(job, "decoder", "v", 0, 10), SizeIs(2));
  EXPECT_THAT(Scalars("a"), SizeIs(3));
  ASSERT_TRUE(Apply({PutAttempt{{.job = job, .number = 1, .start_time = kTime}}, RecordStart{job, 1, "{}", 20},
                     PutScalars{job, 1, {{"a", 20, 2.0}, {"a", 30, 2.0}}}})
                  .ok());
  const auto points = *store_->Scalars(job, "a", 0, 10);
  ASSERT_THAT(points, SizeIs(3));
  EXPECT_EQ(points[0].value, 1.0);
  EXPECT_EQ(points[1].value, 2.0);
  ASSERT_TRUE(Apply({RecordStart{job, 1, "{}", std::nullopt}}).ok());  // it began anew after all
  EXPECT_THAT(*store_->Vectors(job, "decoder", "v", 0, 10), IsEmpty());
}

TEST_P(StoreConformanceTest, KnowsWhatTrainingsOfAClassCost) {
  AddJob();
  EXPECT_FALSE((*store_->SecondsPerUpdate("c")).has_value());
  for (const int i : {2, 3}) {
    const std::string name = "experiments/e-1/trials/t" + std::to_string(i);
    ASSERT_TRUE(Apply({InsertTrial{{.name = name, .experiment = "experiments/e-1", .position = i, .cost_class = "c"}},
                       UpdateTrial{.trial = name, .seconds_per_update = 1.0 * i}})
                    .ok());
  }
  EXPECT_EQ(**store_->SecondsPerUpdate("c"), 2.5);
  EXPECT_FALSE((*store_->SecondsPerUpdate("d")).has_value());
}

TEST_P(StoreConformanceTest, ListsSeriesScalarsFirst) {
  AddJob();
  ASSERT_TRUE(Apply({PutVectors{kJob, 1, {{"encoder", "n", 5, {1}}, {"decoder", "n", 7, {1}}}},
                     PutScalars{kJob, 1, {{"z", 1, 0}, {"b", 2, 0}, {"b", 9, 0}}}})
                  .ok());
  EXPECT_THAT(*store_->ListSeries(kJob), ElementsAre(Series{"b", "", 2, 9}, Series{"z", "", 1, 1},
                                                     Series{"n", "decoder", 1, 7}, Series{"n", "encoder", 1, 5}));
}

TEST_P(StoreConformanceTest, ATrialsRowKeepsWhatIsNotGiven) {
  AddJob();
  ASSERT_TRUE(Apply({UpdateTrial{.trial = kTrial, .updates_done = 5, .valid_nll = 6.5, .unigram_nll = 6.7}}).ok());
  ASSERT_TRUE(Apply({UpdateTrial{.trial = kTrial, .valid_nll = 7.5}}).ok());
  ASSERT_TRUE(Apply({UpdateTrial{.trial = kTrial, .valid_nll = std::nan(""), .evidence = "{}"}}).ok());
  Trial trial = **store_->FindTrial(kTrial);
  EXPECT_EQ(trial.updates_done, 5);
  EXPECT_EQ(trial.best_nll, 6.5);
  EXPECT_EQ(trial.unigram_nll, 6.7);
  EXPECT_EQ(trial.final_nll, std::nullopt);
  EXPECT_EQ(trial.evidence, "{}");
  ASSERT_TRUE(Apply({UpdateTrial{.trial = kTrial, .best_nll = 6.0, .final_nll = 6.1, .weights_sha256 = "w"}}).ok());
  trial = **store_->FindTrial(kTrial);
  EXPECT_EQ(trial.best_nll, 6.0);
  EXPECT_EQ(trial.final_nll, 6.1);
  EXPECT_EQ(trial.weights_sha256, "w");
}

TEST_P(StoreConformanceTest, KeepsEnvironmentAndWarningsBesideTheSchedulersPart) {
  AddJob();
  ASSERT_TRUE(Apply({RecordStart{kJob, 1, "{\"host\":\"h\"}", std::nullopt}, AddWarning{kJob, 1, 3, "second"},
                     AddWarning{kJob, 1, 2, "first"},
                     PutAttempt{{.job = kJob, .number = 1, .start_time = kTime, .outcome = "failed"}}})
                  .ok());
  const auto records = *store_->AttemptsOfJob(kJob);
  ASSERT_THAT(records, SizeIs(2));
  EXPECT_EQ(records[0].environment, "{\"host\":\"h\"}");
  EXPECT_EQ(records[0].attempt.outcome, "failed");
  EXPECT_THAT(records[0].warnings, ElementsAre("first", "second"));
  EXPECT_EQ(*store_->AttemptsOfExperiment("experiments/e-1"), records);
}

TEST_P(StoreConformanceTest, KeepsDatasetsAndHowFarTheyAre) {
  const Dataset dataset{"d", "digest", "translation", "{}", 12, kTime, false};
  ASSERT_TRUE(Apply({PutDataset{dataset, {{"a", 4, "h1", false}, {"b", 8, "h2", false}}}}).ok());
  EXPECT_THAT(*store_->ListDatasets("", 10), IsEmpty());
  ASSERT_TRUE(Apply({CompleteDatasetFile{"d", "a"}}).ok());
  EXPECT_THAT(*store_->FilesOfDataset("d"),
              ElementsAre(DatasetFile{"a", 4, "h1", true}, DatasetFile{"b", 8, "h2", false}));
  ASSERT_TRUE(Apply({CompleteDataset{"d"}}).ok());
  EXPECT_THAT(*store_->ListDatasets("", 10), SizeIs(1));
  ASSERT_TRUE(Apply({PutDataset{dataset, {{"c", 1, "h3", false}}}}).ok());
  EXPECT_THAT(*store_->FilesOfDataset("d"), ElementsAre(DatasetFile{"c", 1, "h3", false}));
  EXPECT_EQ(**store_->FindDataset("d"), dataset);
}

TEST_P(StoreConformanceTest, KeepsUploadsAndArtifacts) {
  AddJob();
  const Upload upload{"u1", kJob, 1, "checkpoint_final", "h", 5, 10, "f"};
  ASSERT_TRUE(Apply({PutUpload{upload}}).ok());
  EXPECT_EQ(**store_->FindUpload("u1"), upload);
  EXPECT_TRUE(
      store_->FindUpload(Upload{.job = kJob, .attempt = 1, .kind = "checkpoint_final", .sha256 = "h"})->has_value());
  EXPECT_FALSE(
      store_->FindUpload(Upload{.job = kJob, .attempt = 2, .kind = "checkpoint_final", .sha256 = "h"})->has_value());
  const Artifact first{"n1", kTrial, "checkpoint_final", "h", 5, 10, kJob, 1, "f", kTime};
  Artifact second = first;
  second.name = "n2";
  ASSERT_TRUE(Apply({EraseUpload{"u1"}, PutArtifact{first}, PutArtifact{second}}).ok());
  EXPECT_FALSE(store_->FindUpload("u1")->has_value());
  EXPECT_THAT(*store_->ListArtifacts(kTrial), ElementsAre(second, first));
  EXPECT_EQ(Apply({PutArtifact{first}}).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(Apply({EraseArtifact{"n1"}, AddCheckpointEvent{kJob, 1, 10, "h"}}).ok());
  EXPECT_FALSE(store_->FindArtifact("n1")->has_value());
  EXPECT_TRUE(*store_->HasCheckpointEvent(kJob, "h"));
  EXPECT_FALSE(*store_->HasCheckpointEvent(kJob, "other"));
}

}  // namespace
}  // namespace strata::store
