// Checkpoints and weights on their way from and to the coordinator: what is put in place before an attempt, and in
// which order files leave.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "worker/agent/fake_coordinator.h"
#include "worker/agent/file.h"
#include "worker/agent/preparation.h"
#include "worker/agent/uploader.h"

namespace strata::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
namespace fs = std::filesystem;

constexpr char kTrial[] = "experiments/e-1/trials/t1";

class CheckpointsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(::testing::TempDir(), "/checkpoints-", ::getpid(), "-",
                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    RemoveTree(folder_);
    auto state = StateDir::Open(folder_);
    ASSERT_TRUE(state.ok());
    state_ = std::make_unique<StateDir>(*std::move(state));
    datasets_ = std::make_unique<DatasetCache>(folder_ + "/datasets", coordinator_);
    const std::string hash = base::Sha256Hex("shard");
    digest_ = base::Sha256Hex("a.shard " + hash + "\n");
    const nlohmann::json file = {{"path", "a.shard"}, {"bytes", 5}, {"sha256", hash}};
    coordinator_.datasets["datasets/d"] = {digest_, nlohmann::json{{"files", {file}}}.dump()};
    coordinator_.files["datasets/d/a.shard"] = "shard";
  }
  void TearDown() override {
    state_.reset();
    RemoveTree(folder_);
  }

  Assignment Of(JobKind kind, const std::string& leaf) {
    Assignment a;
    a.id = {absl::StrCat(kTrial, "/jobs/", leaf), 1};
    a.kind = kind;
    a.ranks = {{0, 0}};
    a.spec_json = "{}";
    a.dataset = "datasets/d";
    a.dataset_digest = digest_;
    return a;
  }
  CheckpointRef Stored(const std::string& name, const std::string& content, const std::string& file_name) {
    coordinator_.files[name] = content;
    return {name, base::Sha256Hex(content), file_name};
  }
  bool Prepare(const Assignment& a) {
    EXPECT_TRUE(base::MakeFolders(state_->AttemptFolder(a.id)).ok());
    return Preparation(coordinator_, *datasets_, *state_)
        .Prepare(
            a, [] { return false; }, &prepared_, &failure_);
  }

  std::string folder_, digest_;
  FakeCoordinator coordinator_;
  std::unique_ptr<StateDir> state_;
  std::unique_ptr<DatasetCache> datasets_;
  Prepared prepared_;
  PreparationFailure failure_;
};

TEST_F(CheckpointsTest, AMeanGetsAllItsWeightsInOrderAndTheyStayWhileItRuns) {
  Assignment a = Of(JobKind::kEvaluate, "evaluate-1");
  a.averaged = {Stored("a10", "epoch 10", "epoch-00000010.safetensors"),
                Stored("a20", "epoch 20", "epoch-00000020.safetensors")};
  ASSERT_TRUE(Prepare(a)) << failure_.message;
  ASSERT_THAT(prepared_.weights, SizeIs(2));
  EXPECT_EQ(*base::ReadFile(prepared_.weights[0]), "epoch 10");
  EXPECT_EQ(*base::ReadFile(prepared_.weights[1]), "epoch 20");
  const Command command = TrainerCommand({.program = "trainer"}, *state_, a, prepared_, 0, {});
  EXPECT_THAT(std::vector<std::string>(command.arguments.end() - 4, command.arguments.end()),
              ElementsAre("--checkpoint", prepared_.weights[0], "--checkpoint", prepared_.weights[1]));
  // Kept for the next one, and others that crowd them out take nothing from this one.
  a.id.attempt = 2;
  const int streams = coordinator_.streams;
  Prepared again;
  std::swap(again, prepared_);
  ASSERT_TRUE(Prepare(a));
  EXPECT_EQ(coordinator_.streams, streams);
  for (int i = 0; i < 3; ++i) {
    const std::string other = absl::StrCat(folder_, "/other-", i);
    ASSERT_TRUE(base::WriteFileAtomically(other, absl::StrCat("other ", i)).ok());
    KeepWeights(*state_, other, absl::StrCat("hash-", i), 2);
  }
  EXPECT_EQ(*base::ReadFile(again.weights[0]), "epoch 10");
  EXPECT_FALSE(fs::exists(absl::StrCat(folder_, "/weights/", base::Sha256Hex("epoch 10"), ".safetensors")));
}

TEST_F(CheckpointsTest, AnEvaluationGetsTheWorkersDetokenisers) {
  const std::vector<std::string> detokenisers = {"moses-de=sacremoses -l de detokenize"};
  const auto arguments = [&](JobKind kind) {
    return TrainerCommand({.program = "trainer", .detokenisers = detokenisers}, *state_, Of(kind, "job"), prepared_, 0,
                          {})
        .arguments;
  };
  const std::vector<std::string> evaluate = arguments(JobKind::kEvaluate), train = arguments(JobKind::kTrain);
  EXPECT_THAT(std::vector<std::string>(evaluate.end() - 2, evaluate.end()),
              ElementsAre("--detokeniser", detokenisers[0]));
  EXPECT_EQ(std::count(train.begin(), train.end(), "--detokeniser"), 0);
}

TEST_F(CheckpointsTest, SaysWhichOfTheWeightsIsDamaged) {
  Assignment a = Of(JobKind::kEvaluate, "evaluate-1");
  a.averaged = {Stored("a10", "epoch 10", "epoch-00000010.safetensors"),
                Stored("a20", "epoch 20", "epoch-00000020.safetensors")};
  coordinator_.files["a20"] = "spoiled!";
  EXPECT_FALSE(Prepare(a));
  EXPECT_EQ(failure_.cause, "checkpoint_corrupt");
  EXPECT_THAT(failure_.message, HasSubstr("epoch-00000020.safetensors is damaged"));
}

TEST_F(CheckpointsTest, AResumeFindsItsCheckpointAndTheBestWeightsOnly) {
  Assignment a = Of(JobKind::kTrain, "train");
  const std::string folder = state_->OutFolder(a) + "/checkpoints";
  ASSERT_TRUE(base::MakeFolders(folder).ok());
  for (const char* name : {"epoch-00000001.safetensors", "update-00000030.safetensors", "best.safetensors"})
    ASSERT_TRUE(base::WriteFileAtomically(absl::StrCat(folder, "/", name), "x").ok());
  a.checkpoint_from = Stored("a20", "state 20", "update-00000020.safetensors");
  ASSERT_TRUE(Prepare(a)) << failure_.message;
  std::vector<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder)) left.push_back(entry.path().filename().string());
  EXPECT_THAT(left, ::testing::UnorderedElementsAre("best.safetensors", "update-00000020.safetensors"));
}

TEST_F(CheckpointsTest, EpochsLeaveBeforeTheResumableCheckpointThatFollowsThem) {
  Stats stats;
  const auto file = [&](const std::string& kind, int update) {
    const std::string path = absl::StrCat(folder_, "/", kind, update), text = absl::StrCat(kind, " ", update);
    EXPECT_TRUE(base::WriteFileAtomically(path, text).ok());
    return LocalFile{{kind, base::Sha256Hex(text), static_cast<int64_t>(text.size()), update, "f"}, path};
  };
  coordinator_.With([&] { coordinator_.away = true; });
  Uploader uploader(coordinator_, {absl::StrCat(kTrial, "/jobs/train"), 1}, stats);
  uploader.Offer(file("checkpoint_epoch", 10));
  uploader.Offer(file("checkpoint_epoch", 20));
  uploader.Offer(file("checkpoint_resumable", 25));
  LocalFile gone = file("checkpoint_epoch", 30);
  fs::remove(gone.path);  // as many later ones as are wanted have followed it
  uploader.Offer(gone);
  uploader.Offer(file("checkpoint_final", 40));
  coordinator_.With([&] { coordinator_.away = false; });
  uploader.Finish(/*resumable_needed=*/true);
  for (int i = 0; i < 2000 && !uploader.Done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_TRUE(uploader.Done());
  EXPECT_TRUE(uploader.failure().ok()) << uploader.failure();
  EXPECT_THAT(
      coordinator_.With([&] { return coordinator_.finished; }),
      ElementsAre("checkpoint_epoch 10", "checkpoint_epoch 20", "checkpoint_final 40", "checkpoint_resumable 25"));
}

}  // namespace
}  // namespace strata::agent
