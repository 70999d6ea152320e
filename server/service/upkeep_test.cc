// Deleting, garbage, usage, backups and checks over a real store and real files, with a clock that can be put forward.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "server/service/backup.h"
#include "server/service/testing.h"
#include "server/service/upkeep_testing.h"
#include "server/service/usage.h"
#include "strata/v1/upkeep_service.grpc.pb.h"

namespace strata::service {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

namespace fs = std::filesystem;

TEST_F(UpkeepTest, WhatIsPlannedGoesAndNothingElse) {
  Add(1);
  Add(2);
  const v1::PlanDeletionResponse plan = Plan({NameOf(1)});
  ASSERT_THAT(plan.items(), SizeIs(1));
  std::map<std::string, int64_t> counts;
  for (const v1::Amount& amount : plan.items(0).amounts()) counts[amount.kind()] = amount.count();
  const std::map<std::string, int64_t> all = {{"checkpoints", 1}, {"files", 1},   {"logs", 1},
                                              {"scalars", 1},     {"vectors", 1}, {"weights", 2}};
  EXPECT_EQ(counts, all);
  EXPECT_EQ(plan.obstacle(), "");
  ASSERT_EQ(Delete({NameOf(1)}, plan.plan()), absl::OkStatus());
  EXPECT_FALSE(fs::exists(folder_.artifacts(NameOf(1))));
  EXPECT_FALSE(fs::exists(folder_.logs(NameOf(1))));
  EXPECT_FALSE(store_->FindExperiment(NameOf(1))->has_value());
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(2, "hypotheses"))));
  EXPECT_THAT(Check(), IsEmpty());
  // The controller forgot the job, and goes on.
  ASSERT_TRUE(coordinator_
                  ->Look([&](const core::Controller& controller) {
                    EXPECT_FALSE(controller.state().jobs.contains(JobOf(1)));
                    EXPECT_TRUE(controller.state().jobs.contains(JobOf(2)));
                    return absl::OkStatus();
                  })
                  .ok());
  EXPECT_TRUE(coordinator_->Update([](Coordinator::Change& change) { return change.Step(core::Ticked{}); }).ok());
}

TEST_F(UpkeepTest, ARepeatedRequestGetsTheSameAnswer) {
  Add(1);
  const std::string plan = Plan({NameOf(1)}).plan();
  ASSERT_EQ(Delete({NameOf(1)}, plan, false, "r"), absl::OkStatus());
  const v1::DeleteResponse first = answer_;
  ASSERT_EQ(Delete({NameOf(1)}, plan, false, "r"), absl::OkStatus());
  EXPECT_EQ(answer_.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(Delete({NameOf(1)}, plan, false, "another").code(), absl::StatusCode::kNotFound);
}

TEST_F(UpkeepTest, AChangedPlanIsRefused) {
  Add(1);
  const std::string plan = Plan({NameOf(1)}).plan();
  Add(2, core::JobState::kSucceeded, TrialOf(1));
  EXPECT_EQ(Delete({NameOf(1)}, plan).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(Delete({NameOf(1)}, "").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(store_->FindExperiment(NameOf(1))->has_value());
}

TEST_F(UpkeepTest, WhatLivesOrIsReferredToStays) {
  Add(1);
  Add(2, core::JobState::kQueued, TrialOf(1));
  v1::PlanDeletionResponse plan = Plan({NameOf(1)});
  EXPECT_THAT(plan.obstacle(), HasSubstr(NameOf(2)));
  EXPECT_EQ(Delete({NameOf(1)}, plan.plan()).code(), absl::StatusCode::kFailedPrecondition);
  plan = Plan({NameOf(1), NameOf(2)});
  EXPECT_THAT(plan.live_jobs(), ElementsAre(JobOf(2)));
  EXPECT_THAT(plan.references(), IsEmpty());
  EXPECT_THAT(std::string(Delete({NameOf(1), NameOf(2)}, plan.plan()).message()), HasSubstr("Cancel them"));
  ASSERT_TRUE(
      coordinator_->Update([](Coordinator::Change& change) { return change.Step(core::CancelRequested{JobOf(2)}); })
          .ok());
  plan = Plan({NameOf(1), NameOf(2)});
  EXPECT_EQ(Delete({NameOf(1), NameOf(2)}, plan.plan()), absl::OkStatus());
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(UpkeepTest, ADatasetInUseGoesOnlyWhenThatIsConfirmed) {
  AddDataset("tiny");
  Add(1);
  const v1::PlanDeletionResponse plan = Plan({"datasets/tiny"});
  ASSERT_THAT(plan.references(), SizeIs(1));
  EXPECT_EQ(plan.references(0).from(), NameOf(1));
  EXPECT_EQ(Delete({"datasets/tiny"}, plan.plan()).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::exists(folder_.dataset("tiny")));
  EXPECT_EQ(Delete({"datasets/tiny"}, plan.plan(), /*with_references=*/true), absl::OkStatus());
  EXPECT_FALSE(fs::exists(folder_.dataset("tiny")));
  // With its only user it goes without.
  AddDataset("tiny");
  const std::vector<std::string> both = {"datasets/tiny", NameOf(1)};
  EXPECT_EQ(Delete(both, Plan(both).plan()), absl::OkStatus());
}

TEST_F(UpkeepTest, NamesThatStandForNothingAreSaid) {
  v1::PlanDeletionResponse plan;
  Deletion deletion(*coordinator_, folder_, moving_);
  EXPECT_EQ(deletion.Plan({NameOf(7)}, plan).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(deletion.Plan({"datasets/none"}, plan).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(deletion.Plan({"workers/w1"}, plan).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(deletion.Plan({}, plan).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(UpkeepTest, OrphansAndWhatNeverArrivedGoWhenTheyAreOld) {
  Add(1);
  Add(2, core::JobState::kRunning);
  AddDataset("half", /*complete=*/false);
  Write(folder_.artifacts(NameOf(9)) + "/t1/a", "orphan");
  Write(folder_.upload("nobody"), "orphan");
  Apply({store::PutUpload{{.id = "stale", .job = JobOf(1), .attempt = 1, .kind = "k", .sha256 = "ab"}},
         store::PutUpload{{.id = "live", .job = JobOf(2), .attempt = 1, .kind = "k", .sha256 = "ab"}}});
  Write(folder_.upload("stale"), "x");
  Write(folder_.upload("live"), "x");
  EXPECT_THAT(Collect(), IsEmpty()) << "all of it is new";
  ahead_ = absl::Hours(2);
  EXPECT_THAT(Collect("", /*dry_run=*/true),
              UnorderedElementsAre("orphan artifacts/e-9/t1/a", "orphan uploads/nobody"));
  ahead_ = absl::Hours(25);
  const std::vector<std::string> planned = Collect("", /*dry_run=*/true);
  EXPECT_THAT(planned, UnorderedElementsAre("orphan artifacts/e-9/t1/a", "orphan uploads/nobody",
                                            "upload uploads/stale", "dataset datasets/half"));
  EXPECT_TRUE(fs::exists(folder_.upload("nobody")));
  EXPECT_EQ(Collect(), planned);
  EXPECT_FALSE(fs::exists(folder_.upload("nobody")));
  EXPECT_FALSE(fs::exists(folder_.upload("stale")));
  EXPECT_FALSE(fs::exists(folder_.incoming_dataset("half")));
  EXPECT_TRUE(fs::exists(folder_.upload("live"))) << "its attempt lives";
  EXPECT_THAT(*store_->ListUploads(), SizeIs(1));
  EXPECT_THAT(*store_->ListAllDatasets(), IsEmpty());
  EXPECT_THAT(Collect(), IsEmpty());
}

TEST_F(UpkeepTest, ByAgeGoesWhatThePolicyNamesAndNoMore) {
  const struct {
    const char* retention;
    std::vector<std::string> goes;
  } cases[] = {
      {"", {}},
      {"resumable=30d", {}},
      {"datasets=9d", {"datasets datasets/spare"}},
      {"logs=9d", {"logs logs/e-1/t1/train/1.log"}},
      {"vectors=9d", {"vectors " + JobOf(1)}},
      {"epochs=9d", {"epochs " + ArtifactOf(1, "checkpoint_epoch")}},
      {"resumable=9d,epochs=never", {"resumable " + ArtifactOf(1, "checkpoint_resumable")}},
  };
  Add(1);
  Add(2, core::JobState::kRunning);
  AddDataset("tiny");
  AddDataset("spare");
  ahead_ = absl::Hours(10 * 24);
  for (const auto& [retention, goes] : cases) EXPECT_EQ(Collect(retention, /*dry_run=*/true), goes) << retention;
  for (const auto& [retention, goes] : cases) EXPECT_EQ(Collect(retention), goes) << retention;
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_final"))));
  EXPECT_TRUE(*store_->WasCollected(JobOf(1), "checkpoint_epoch"));
  EXPECT_THAT(Check(), IsEmpty());
  EXPECT_THAT(Collect("resumable=1s,epochs=1s,logs=1s,vectors=1s,datasets=1s"), IsEmpty());
}

TEST_F(UpkeepTest, ATrainingWithoutItsCheckpointBeginsAnewWhenItIsTriedAgain) {
  Add(1, core::JobState::kFailed);
  ahead_ = absl::Hours(48);
  EXPECT_THAT(Collect("resumable=1d"), SizeIs(1));
  EXPECT_EQ((*store_->FindJob(JobOf(1)))->checkpoint_update, -1);
  ASSERT_TRUE(coordinator_
                  ->Update([](Coordinator::Change& change) {
                    EXPECT_EQ(change.controller().state().jobs.at(JobOf(1)).checkpoint_update, -1);
                    return change.Step(core::RetryRequested{JobOf(1)});
                  })
                  .ok());
}

TEST_F(UpkeepTest, UsageAddsUpToWhatLiesInTheFolder) {
  Add(1);
  Add(2);
  AddDataset("tiny");
  Write(folder_.upload("nobody"), "orphan");
  fs::remove(folder_.artifact(ArtifactOf(2, "hypotheses")));
  fs::create_hard_link(folder_.artifact(ArtifactOf(1, "checkpoint_final")),
                       folder_.artifact(ArtifactOf(2, "hypotheses")));
  int64_t all = 0;
  all += static_cast<int64_t>(fs::file_size(folder_.artifact(ArtifactOf(1, "checkpoint_final")))) * -1;  // two names
  for (const auto& entry : fs::recursive_directory_iterator(root_)) {
    if (entry.is_regular_file()) all += static_cast<int64_t>(entry.file_size());
  }
  v1::GetUsageResponse usage;
  ASSERT_TRUE(MeasureUsage(*store_, folder_, "", usage).ok());
  int64_t parts = 0, folders = 0;
  for (const v1::ItemUsage& item : usage.items()) parts += item.bytes();
  for (const v1::Amount& amount : usage.rest()) {
    parts += amount.bytes();
    if (amount.kind() == "other" && amount.count() == 0) folders = amount.bytes();
    if (amount.kind() == "orphans") {
      EXPECT_EQ(amount.bytes(), 6);
    }
  }
  EXPECT_EQ(parts, usage.total_bytes());
  EXPECT_EQ(parts - folders, all);
  EXPECT_GT(usage.free_bytes(), 0);
  usage.Clear();
  ASSERT_TRUE(MeasureUsage(*store_, folder_, NameOf(1), usage).ok());
  ASSERT_THAT(usage.items(), SizeIs(1));
  EXPECT_THAT(usage.items(0).amounts(), SizeIs(6));
  EXPECT_EQ(MeasureUsage(*store_, folder_, NameOf(7), usage).code(), absl::StatusCode::kNotFound);
}

TEST_F(UpkeepTest, ChecksNameEachKindOfDamage) {
  Add(1);
  AddDataset("tiny");
  EXPECT_THAT(Check(), IsEmpty());
  Write(folder_.artifact(ArtifactOf(1, "hypotheses")), "hypotheses of 2");  // the right length
  fs::remove(folder_.artifact(ArtifactOf(1, "checkpoint_final")));
  Write(folder_.dataset("tiny") + "/a/shard", "short");
  EXPECT_THAT(Check(/*quick=*/true),
              UnorderedElementsAre(HasSubstr("checkpoint_final is missing"), HasSubstr("a/shard has 5 bytes")));
  EXPECT_THAT(Check(), UnorderedElementsAre(HasSubstr("checkpoint_final is missing"),
                                            HasSubstr("hypotheses is damaged"), HasSubstr("strata data add")));
}

TEST_F(UpkeepTest, ABackupHoldsWhatIsDeletedMeanwhile) {
  Add(1);
  AddDataset("tiny");
  AddDataset("half", /*complete=*/false);
  Apply({store::PutUpload{{.id = "u", .job = JobOf(1), .attempt = 1, .kind = "k", .sha256 = "ab"}}});
  fs::remove(folder_.artifact(ArtifactOf(1, "hypotheses")));
  Backups backups(*store_, folder_);
  v1::BeginBackupResponse begun;
  ASSERT_EQ(backups.Begin(begun), absl::OkStatus());
  EXPECT_THAT(begun.missing(), ElementsAre(ArtifactOf(1, "hypotheses")));
  EXPECT_EQ(begun.files(), 3 + 1 + 2 + 1);  // artifacts, log, dataset, database
  ASSERT_EQ(Delete({NameOf(1)}, Plan({NameOf(1)}).plan()), absl::OkStatus());
  const auto files = backups.List(begun.backup_id(), 0, 100);
  ASSERT_TRUE(files.ok());
  for (const v1::BackupFile& file : *files) {
    const auto found = backups.Find(begun.backup_id(), file.path());
    ASSERT_TRUE(found.ok());
    if (!file.sha256().empty()) {
      EXPECT_EQ(*base::Sha256OfFile(found->first), file.sha256()) << file.path();
    }
  }
  EXPECT_THAT(*backups.List(begun.backup_id(), 5, 1), SizeIs(1));
  const auto database = backups.Find(begun.backup_id(), "strata.db");
  {
    const auto copy = store::OpenSqliteStore(database->first);
    ASSERT_TRUE(copy.ok()) << copy.status();
    EXPECT_TRUE((*copy)->FindExperiment(NameOf(1))->has_value());
    EXPECT_THAT(*(*copy)->ListUploads(), IsEmpty()) << "what arrives is no part of a backup";
    EXPECT_THAT(*(*copy)->ListAllDatasets(), SizeIs(1));
  }
  EXPECT_EQ(backups.Find(begun.backup_id(), "../strata.db").status().code(), absl::StatusCode::kNotFound);
  backups.End("..");
  EXPECT_TRUE(fs::exists(folder_.database()));
  backups.End(begun.backup_id());
  EXPECT_TRUE(fs::is_empty(root_ + "/backups"));
  EXPECT_EQ(backups.List(begun.backup_id(), 0, 1).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace strata::service
