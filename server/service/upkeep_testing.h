// A coordinator's folder with rows and files of every kind, for the tests of upkeep: over a real store, with a clock
// that can be put forward.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"
#include "server/service/deletion.h"
#include "server/service/garbage.h"
#include "server/service/storage_check.h"
#include "server/store/sqlite_store.h"

namespace strata::service {

inline std::string NameOf(int id) { return absl::StrCat("experiments/e-", id); }
inline std::string TrialOf(int id) { return NameOf(id) + "/trials/t1"; }
inline std::string JobOf(int id) { return TrialOf(id) + "/jobs/train"; }
inline std::string ArtifactOf(int id, const std::string& kind) {
  return absl::StrCat(TrialOf(id), "/artifacts/", kind);
}

class UpkeepTest : public testing::Test {
 protected:
  UpkeepTest() : root_(testing::TempDir() + "/upkeep_" + base::RandomHex(6)), folder_(root_) {
    EXPECT_TRUE(folder_.Prepare().ok());
    Open();
  }
  ~UpkeepTest() override {
    coordinator_ = nullptr;
    store_ = nullptr;
    std::filesystem::remove_all(root_);
  }

  void Open() {
    coordinator_ = nullptr;
    store_ = nullptr;
    store_ = *store::OpenSqliteStore(folder_.database());
    coordinator_ = *Coordinator::Create(*store_, {}, [this] { return absl::Now() + ahead_; });
  }
  void Apply(std::vector<store::Write> writes) {
    ASSERT_EQ(store_->Apply({.writes = std::move(writes)}), absl::OkStatus());
  }
  void Write(const std::string& path, const std::string& content) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    ASSERT_TRUE(base::WriteFileAtomically(path, content).ok());
  }

  // An experiment whose training stands in `state`, with files of each kind, a log and measurements.
  void Add(int id, core::JobState state = core::JobState::kSucceeded, const std::string& extended_from = "") {
    core::Job job{.name = JobOf(id), .trial = TrialOf(id), .state = state, .order = id, .attempts = 1};
    job.create_time = absl::Now();
    if (core::IsFinal(state)) job.end_time = absl::Now();
    job.checkpoint_update = 20;
    core::Attempt attempt{.job = JobOf(id), .number = 1, .start_time = absl::Now()};
    if (state != core::JobState::kRunning) attempt.outcome = "succeeded";
    Apply({store::InsertExperiment{{id, NameOf(id), absl::StrCat("r", id), "{}", absl::Now(), 1}},
           store::InsertTrial{{.name = TrialOf(id),
                               .experiment = NameOf(id),
                               .spec_json = "{}",
                               .fingerprint = "f",
                               .dataset = "tiny",
                               .extended_from = extended_from}},
           store::PutJob{job}, store::LinkJob{TrialOf(id), "train", JobOf(id)}, store::PutAttempt{attempt},
           store::PutScalars{JobOf(id), 1, {{"loss", 10, 1.0}}},
           store::PutVectors{JobOf(id), 1, {{"encoder", "norm", 10, {1, 2, 3}}}}});
    for (const std::string kind : {"checkpoint_resumable", "checkpoint_epoch", "checkpoint_final", "hypotheses"}) {
      const std::string content = absl::StrCat(kind, " of ", id);
      Apply({store::PutArtifact{{.name = ArtifactOf(id, kind),
                                 .trial = TrialOf(id),
                                 .kind = kind,
                                 .sha256 = base::Sha256Hex(content),
                                 .bytes = static_cast<int64_t>(content.size()),
                                 .update = 20,
                                 .job = JobOf(id),
                                 .create_time = absl::Now()}}});
      Write(folder_.artifact(ArtifactOf(id, kind)), content);
    }
    Write(folder_.log(JobOf(id), 1), "a line\n");
    Open();  // the controller learns of the job
  }
  void AddDataset(const std::string& name, bool complete = true) {
    const std::string content = "shard of " + name;
    Apply({store::PutDataset{{.name = name,
                              .digest = "d",
                              .task = "translation",
                              .manifest = "{}",
                              .bytes = static_cast<int64_t>(content.size()),
                              .create_time = absl::Now(),
                              .complete = complete},
                             {{"a/shard", static_cast<int64_t>(content.size()), base::Sha256Hex(content), complete}}}});
    const std::string folder = complete ? folder_.dataset(name) : folder_.incoming_dataset(name);
    Write(folder + "/a/shard", content);
    if (complete) Write(folder + "/manifest.json", "{}");
  }

  v1::PlanDeletionResponse Plan(const std::vector<std::string>& names) {
    v1::PlanDeletionResponse plan;
    const absl::Status status = Deletion(*coordinator_, folder_, moving_).Plan(names, plan);
    EXPECT_TRUE(status.ok()) << status;
    return plan;
  }
  absl::Status Delete(const std::vector<std::string>& names, const std::string& plan, bool with_references = false,
                      const std::string& request_id = base::RandomHex()) {
    v1::DeleteRequest request;
    for (const std::string& name : names) request.add_names(name);
    request.set_plan(plan);
    request.set_request_id(request_id);
    request.set_with_references(with_references);
    answer_.Clear();
    return Deletion(*coordinator_, folder_, moving_).Delete(request, answer_);
  }
  // "KIND NAME" of each thing.
  std::vector<std::string> Collect(const std::string& retention = "", bool dry_run = false) {
    v1::CollectGarbageResponse response;
    const absl::Status status =
        GarbageCollector(*coordinator_, folder_, moving_).Collect(*ParseRetention(retention), dry_run, response);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_THAT(response.left(), testing::IsEmpty());
    std::vector<std::string> found;
    for (const v1::Garbage& garbage : response.garbage()) found.push_back(garbage.kind() + " " + garbage.name());
    return found;
  }
  std::vector<std::string> Check(bool quick = false) {
    std::vector<std::string> findings;
    const absl::Status status = CheckStorage(*store_, folder_, quick, [&](const CheckProgress& progress) {
      if (!progress.finding.empty()) findings.push_back(progress.finding);
      return true;
    });
    EXPECT_TRUE(status.ok()) << status;
    return findings;
  }

  const std::string root_;
  const DataFolder folder_;
  absl::Duration ahead_;  // of the clock
  base::Mutex moving_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Coordinator> coordinator_;
  v1::DeleteResponse answer_;
};
}  // namespace strata::service
