// A coordinator that is killed between the commit of a deletion or collection and the removal of the files: the next
// one on the folder removes them, and nothing that a row names is lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "server/service/upkeep_service.h"
#include "server/service/upkeep_testing.h"

namespace strata::service {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::KilledBySignal;
using testing::SizeIs;
using testing::UnorderedElementsAre;

namespace fs = std::filesystem;

class UpkeepCrashTest : public UpkeepTest {
 protected:
  // Does it in a process of its own, which is killed as soon as the first rows of it have gone.
  template <typename F>
  void DieAfterTheCommit(F what) {
    coordinator_ = nullptr;
    store_ = nullptr;
    EXPECT_EXIT(
        {
          Open();
          coordinator_->Observe([](const Coordinator::Stored&) { raise(SIGKILL); });
          what();
        },
        KilledBySignal(SIGKILL), "");
    Open();
  }
  void Finish() { EXPECT_EQ(Deletion(*coordinator_, folder_, moving_).Finish(), absl::OkStatus()); }
};

TEST_F(UpkeepCrashTest, TheFilesOfADeletedExperimentGoAtTheNextStart) {
  Add(1);
  Add(2);
  Apply({store::PutUpload{{.id = "u", .job = JobOf(1), .attempt = 1, .kind = "k", .sha256 = "ab"}}});
  Write(folder_.upload("u"), "half of it");
  DieAfterTheCommit([&] { (void)Delete({NameOf(1)}, Plan({NameOf(1)}).plan()); });
  EXPECT_FALSE(store_->FindExperiment(NameOf(1))->has_value());
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_final")))) << "it died before it removed them";
  EXPECT_THAT(Check(), IsEmpty());
  Finish();
  EXPECT_FALSE(fs::exists(folder_.artifacts(NameOf(1))));
  EXPECT_FALSE(fs::exists(folder_.logs(NameOf(1))));
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(2, "checkpoint_final"))));
  EXPECT_TRUE(fs::exists(folder_.log(JobOf(2), 1)));
  ahead_ = absl::Hours(2);
  EXPECT_THAT(Collect(), ElementsAre("orphan uploads/u"));
  EXPECT_THAT(Check(), IsEmpty());
  Finish();
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(2, "checkpoint_final"))));
}

TEST_F(UpkeepCrashTest, ADatasetThatWasAddedAgainSinceIsLeft) {
  AddDataset("tiny");
  AddDataset("other");
  for (const char* name : {"datasets/tiny", "datasets/other"})
    DieAfterTheCommit([&] { (void)Delete({name}, Plan({name}).plan()); });
  EXPECT_TRUE(fs::exists(folder_.dataset("tiny")));
  AddDataset("tiny");
  Finish();
  EXPECT_TRUE(fs::exists(folder_.dataset("tiny") + "/a/shard"));
  EXPECT_FALSE(fs::exists(folder_.dataset("other")));
  EXPECT_THAT(Check(), IsEmpty());
}

TEST_F(UpkeepCrashTest, WhatACollectionHadBegunIsCollectedLater) {
  Add(1);
  Add(2, core::JobState::kRunning);
  AddDataset("tiny");
  AddDataset("spare");
  ahead_ = absl::Hours(2);
  const std::string policy = "resumable=1s,epochs=1s,datasets=1s";
  const std::vector<std::string> due = Collect(policy, /*dry_run=*/true);
  ASSERT_THAT(due, SizeIs(3));
  DieAfterTheCommit([&] { Collect(policy); });
  EXPECT_THAT(Collect(policy, /*dry_run=*/true), Contains("orphan artifacts/e-1/t1/checkpoint_epoch"));
  DieAfterTheCommit([&] { Collect(policy); });  // removes that, and dies at the next
  DieAfterTheCommit([&] { Collect(policy); });
  EXPECT_THAT(*store_->ListAllDatasets(), SizeIs(1));
  EXPECT_THAT(Collect(policy),
              UnorderedElementsAre("orphan datasets/spare/a/shard", "orphan datasets/spare/manifest.json"));
  EXPECT_FALSE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_epoch"))));
  EXPECT_FALSE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_resumable"))));
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_final"))));
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(2, "checkpoint_resumable")))) << "its training lives";
  EXPECT_TRUE(fs::exists(folder_.dataset("tiny") + "/a/shard"));
  EXPECT_THAT(Check(), IsEmpty());
}

// The thread of the service, with no call at all.
TEST_F(UpkeepCrashTest, WhatIsLeftAndWhatHasReachedItsAgeGoesByItself) {
  Add(1);
  Add(2);
  DieAfterTheCommit([&] { (void)Delete({NameOf(2)}, Plan({NameOf(2)}).plan()); });
  ahead_ = absl::Hours(1);
  UpkeepService service(*coordinator_, folder_, moving_, *ParseRetention("resumable=1s"), absl::Milliseconds(20), "1");
  service.Start();
  const auto gone = [](const std::string& path) {
    for (int i = 0; i < 1000 && fs::exists(path); ++i) absl::SleepFor(absl::Milliseconds(5));
    return !fs::exists(path);
  };
  EXPECT_TRUE(gone(folder_.artifacts(NameOf(2))));
  EXPECT_TRUE(gone(folder_.artifact(ArtifactOf(1, "checkpoint_resumable"))));
  service.Stop();
  EXPECT_TRUE(fs::exists(folder_.artifact(ArtifactOf(1, "checkpoint_final"))));
  const auto log = store_->ListAudit({}, 10);
  ASSERT_THAT(*log, SizeIs(1));
  EXPECT_EQ(log->front().caller + " " + log->front().method, "coordinator UpkeepService/CollectGarbage");
  EXPECT_THAT(Check(), IsEmpty());
}

}  // namespace
}  // namespace strata::service
