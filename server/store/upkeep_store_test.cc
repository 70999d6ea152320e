// Deleting, sizes, references and copies, over both stores where both can do it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"

namespace strata::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const absl::Time kTime = absl::FromUnixMicros(1700000000123456);

std::string TrialOf(int experiment) { return absl::StrCat("experiments/e-", experiment, "/trials/t1"); }
std::string JobOf(int experiment) { return TrialOf(experiment) + "/jobs/train"; }
std::string NameOf(int experiment) { return absl::StrCat("experiments/e-", experiment); }

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Store>(const std::string& folder)> make;
};

class UpkeepStoreTest : public testing::TestWithParam<Kind> {
 protected:
  UpkeepStoreTest() : folder_(testing::TempDir() + "/upkeep_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    store_ = GetParam().make(folder_);
  }
  ~UpkeepStoreTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(folder_);
  }

  absl::Status Apply(std::vector<Write> writes) { return store_->Apply({.writes = std::move(writes)}); }

  // An experiment with one trial on the dataset "tiny" and everything that a training leaves. It shows its own job, or
  // that of the experiment `reused`; `extended` is where it began.
  void Add(int id, int reused = 0, int extended = 0) {
    Trial trial{
        .name = TrialOf(id), .experiment = NameOf(id), .spec_json = "{}", .fingerprint = "f", .dataset = "tiny"};
    if (reused > 0) trial.reused_from = TrialOf(reused);
    if (extended > 0) trial.extended_from = TrialOf(extended);
    std::vector<Write> writes = {InsertExperiment{{id, NameOf(id), absl::StrCat("request-", id), "{}", kTime, 1}},
                                 InsertTrial{trial}};
    if (reused > 0) {
      writes.push_back(LinkJob{TrialOf(id), "train", JobOf(reused)});
      ASSERT_EQ(Apply(std::move(writes)), absl::OkStatus());
      return;
    }
    const std::string job = JobOf(id);
    writes.push_back(PutJob{{.name = job, .trial = TrialOf(id), .order = id, .attempts = 1, .create_time = kTime}});
    writes.push_back(LinkJob{TrialOf(id), "train", job});
    writes.push_back(PutAttempt{{.job = job, .number = 1, .start_time = kTime}});
    writes.push_back(AddWarning{job, 1, 1, "careful"});
    writes.push_back(AdvanceCursor{job, 1, 0, 0, 5});
    writes.push_back(PutScalars{job, 1, {{"loss", 10, 1.0}, {"loss", 20, 0.5}}});
    writes.push_back(PutVectors{job, 1, {{"encoder", "norm", 10, {1, 2, 3}}}});
    writes.push_back(AddCheckpointEvent{job, 1, 20, "ab"});
    writes.push_back(NoteCollected{job, "checkpoint_epoch", kTime});
    writes.push_back(
        PutUpload{{.id = absl::StrCat("upload-", id), .job = job, .attempt = 1, .kind = "k", .sha256 = "ab"}});
    writes.push_back(PutArtifact{{.name = TrialOf(id) + "/artifacts/a1",
                                  .trial = TrialOf(id),
                                  .kind = "k",
                                  .sha256 = "ab",
                                  .job = job,
                                  .create_time = kTime}});
    ASSERT_EQ(Apply(std::move(writes)), absl::OkStatus());
  }

  const std::string folder_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, UpkeepStoreTest,
    testing::Values(Kind{"memory", [](const std::string&) { return MakeMemoryStore(); }},
                    Kind{"sqlite", [](const std::string& folder) { return *OpenSqliteStore(folder + "/strata.db"); }}),
    [](const auto& info) { return info.param.name; });

TEST_P(UpkeepStoreTest, ADeletedExperimentLeavesNothingAndItsIdIsNotGivenAgain) {
  Add(1);
  Add(2);
  ASSERT_EQ(Apply({EraseExperiments{{NameOf(2)}}}), absl::OkStatus());
  EXPECT_FALSE(store_->FindExperiment(NameOf(2))->has_value());
  EXPECT_FALSE(store_->FindRequest("request-2")->has_value());
  EXPECT_FALSE(store_->FindTrial(TrialOf(2))->has_value());
  EXPECT_FALSE(store_->FindJob(JobOf(2))->has_value());
  EXPECT_THAT(*store_->ListSeries(JobOf(2)), IsEmpty());
  EXPECT_THAT(*store_->AttemptsOfJob(JobOf(2)), IsEmpty());
  EXPECT_THAT(*store_->ListArtifacts(TrialOf(2)), IsEmpty());
  EXPECT_FALSE(*store_->WasCollected(JobOf(2), "checkpoint_epoch"));
  EXPECT_FALSE(*store_->HasCheckpointEvent(JobOf(2), "ab"));
  ASSERT_THAT(*store_->ListUploads(), SizeIs(1));
  EXPECT_EQ(store_->ListUploads()->front().id, "upload-1");
  EXPECT_EQ(*store_->NextExperimentId(), 3);
  // The other one is whole.
  EXPECT_THAT(*store_->ListSeries(JobOf(1)), SizeIs(2));
  EXPECT_THAT(*store_->ListAllArtifacts("", 10), SizeIs(1));
  EXPECT_TRUE(*store_->WasCollected(JobOf(1), "checkpoint_epoch"));
  EXPECT_THAT(*store_->CheckIntegrity(), IsEmpty());
}

TEST_P(UpkeepStoreTest, WhatOthersReferToStaysUnlessTheyGoToo) {
  Add(1);
  Add(2, /*reused=*/1);
  Add(3, 0, /*extended=*/1);
  EXPECT_THAT(*store_->ReferencesTo(NameOf(1)), ElementsAre(Reference{TrialOf(2), "reused_from", TrialOf(1)},
                                                            Reference{TrialOf(3), "extended_from", TrialOf(1)},
                                                            Reference{TrialOf(2), "shows", JobOf(1)}));
  EXPECT_THAT(*store_->ReferencesTo(NameOf(2)), IsEmpty());
  for (const std::vector<std::string>& names :
       {std::vector{NameOf(1)}, std::vector{NameOf(1), NameOf(2)}, std::vector{NameOf(3), NameOf(1)}}) {
    const absl::Status refused = Apply({EraseExperiments{names}});
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
    EXPECT_THAT(refused.message(), HasSubstr("refers to"));
  }
  EXPECT_THAT(*store_->JobsOfTrial(TrialOf(2)), SizeIs(1)) << "a refused deletion leaves no trace";
  EXPECT_EQ((*store_->FindTrial(TrialOf(3)))->extended_from, TrialOf(1));
  ASSERT_EQ(Apply({EraseExperiments{{NameOf(1), NameOf(2), NameOf(3)}}}), absl::OkStatus());
  EXPECT_THAT(*store_->ListExperiments(100, 10), IsEmpty());
  EXPECT_THAT(*store_->CheckIntegrity(), IsEmpty());
}

TEST_P(UpkeepStoreTest, AUsedDatasetGoesOnlyWhereThatIsSaid) {
  ASSERT_EQ(Apply({PutDataset{{.name = "tiny", .digest = "d", .complete = true}, {{"a", 1, "ab", true}}},
                   PutDataset{{.name = "half", .digest = "d"}, {{"a", 1, "ab", false}}}}),
            absl::OkStatus());
  Add(1);
  EXPECT_THAT(*store_->ListAllDatasets(), SizeIs(2));
  EXPECT_THAT(*store_->ExperimentsOfDataset("tiny"), ElementsAre(NameOf(1)));
  EXPECT_EQ(Apply({EraseDataset{"tiny"}}).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Apply({EraseDataset{"half"}}), absl::OkStatus());
  EXPECT_EQ(Apply({EraseDataset{"tiny", true}}), absl::OkStatus());
  EXPECT_THAT(*store_->ListAllDatasets(), IsEmpty());
  EXPECT_THAT(*store_->FilesOfDataset("tiny"), IsEmpty());
}

TEST_P(UpkeepStoreTest, ADamagedFileOfADatasetIsAwaitedAgain) {
  ASSERT_EQ(
      Apply({PutDataset{{.name = "tiny", .digest = "d", .complete = true}, {{"a", 1, "x", true}, {"b", 1, "y", true}}},
             ReopenDatasetFile{"tiny", "b"}}),
      absl::OkStatus());
  EXPECT_TRUE((*store_->FindDataset("tiny"))->complete);
  EXPECT_TRUE((*store_->FilesOfDataset("tiny"))[0].complete);
  EXPECT_FALSE((*store_->FilesOfDataset("tiny"))[1].complete);
}

TEST_P(UpkeepStoreTest, SizesOfMeasurementsAreByJobAndVectorsGoAlone) {
  Add(1);
  Add(10);
  ASSERT_THAT(*store_->MeasurementSizes(""), SizeIs(2));
  const auto sizes = *store_->MeasurementSizes(NameOf(1));
  ASSERT_THAT(sizes, SizeIs(1)) << "e-10 is no part of e-1";
  EXPECT_EQ(sizes[0].job, JobOf(1));
  EXPECT_EQ(sizes[0].scalars, 2);
  EXPECT_EQ(sizes[0].vectors, 1);
  EXPECT_GE(sizes[0].vector_bytes, 24);
  ASSERT_EQ(Apply({EraseVectors{JobOf(1)}}), absl::OkStatus());
  EXPECT_EQ((*store_->MeasurementSizes(NameOf(1)))[0].vectors, 0);
  EXPECT_EQ((*store_->MeasurementSizes(NameOf(10)))[0].vectors, 1);
}

TEST_P(UpkeepStoreTest, ADeletionsAnswerIsKept) {
  ASSERT_EQ(Apply({PutDeletion{"r1", kTime, "{}"}}), absl::OkStatus());
  EXPECT_EQ(*store_->FindDeletion("r1"), "{}");
  EXPECT_FALSE(store_->FindDeletion("r2")->has_value());
  EXPECT_THAT(*store_->ListDeletions(), ElementsAre("{}"));
  EXPECT_EQ(Apply({PutDeletion{"r1", kTime, "{}"}}).code(), absl::StatusCode::kAlreadyExists);
}

TEST_P(UpkeepStoreTest, ACopyHoldsWhatWasCommitted) {
  Add(1);
  const std::string path = folder_ + "/copy.db";
  const absl::Status status = store_->CopyTo(path);
  if (absl::IsUnimplemented(status)) return;  // in memory
  ASSERT_EQ(status, absl::OkStatus());
  ASSERT_EQ(Apply({EraseExperiments{{NameOf(1)}}}), absl::OkStatus());
  auto copy = OpenSqliteStore(path);
  ASSERT_TRUE(copy.ok()) << copy.status();
  EXPECT_TRUE((*copy)->FindExperiment(NameOf(1))->has_value());
  EXPECT_THAT(*(*copy)->ListSeries(JobOf(1)), SizeIs(2));
}

}  // namespace
}  // namespace strata::store
