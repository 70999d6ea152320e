// Checkpoints are written behind the training's back: what they hold, and how their failures come to light.
#include "worker/trainer/checkpoint.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <system_error>

#include "worker/trainer/failure.h"
#include "worker/trainer/spec.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class CheckpointStoreTest : public ::testing::Test {
 protected:
  static model::Adam MakeAdam(double value) {
    std::vector<model::NamedParameter> parameters;
    for (const char* name : {"a", "b"})
      parameters.push_back({name, at::full({300, 7}, value, at::kFloat).requires_grad_()});
    return {std::move(parameters), {}};
  }
  std::vector<nlohmann::json> Told() { return testing::OfType(testing::ReadEvents(folder_ / "events"), "checkpoint"); }

  testing::ScratchFolder folder_;
  EventLog events_{folder_ / "events", 1, 0};
  CheckpointIdentity identity_{.spec_lines = {std::string(kBatchesPerUpdate) + "=2"}, .dataset_digest = "d"};
};

TEST_F(CheckpointStoreTest, HoldsTheStateAtTheCallWhateverIsTrainedMeanwhile) {
  CheckpointStore store(folder_ / "checkpoints", 2, &events_);
  model::Adam adam = MakeAdam(1);
  for (int64_t update = 1; update <= 4; ++update) {
    adam.flat().weights().fill_(static_cast<double>(update));
    EXPECT_EQ(store.SaveResumable(adam, {.update = update}, identity_),
              "checkpoints/update-0000000" + std::to_string(update) + ".safetensors");
    adam.flat().weights().fill_(-1);
  }
  store.Finish();
  ASSERT_THAT(Told(), SizeIs(4));  // each waited for the one before
  EXPECT_EQ(Told()[3].at("update"), 4);
  EXPECT_FALSE(fs::exists(folder_ / "checkpoints/update-00000002.safetensors"));
  CheckpointStore again(folder_ / "checkpoints", 2, &events_);
  EXPECT_EQ(again.Restore(adam, identity_)->update, 4);
  EXPECT_TRUE(adam.flat().parameters()[1].tensor.eq(4).all().item<bool>());
}

TEST_F(CheckpointStoreTest, WhatGoesWrongMeanwhileIsThrownByTheNextCall) {
  CheckpointStore store(folder_ / "checkpoints", 2, &events_);
  const model::Adam adam = MakeAdam(1);
  fs::remove_all(folder_ / "checkpoints");
  store.SaveResumable(adam, {.update = 1}, identity_);
  EXPECT_THROW(store.Finish(), std::system_error);
  EXPECT_NO_THROW(store.Check());  // once
  store.SaveResumable(adam, {.update = 2}, identity_);
  EXPECT_THROW(store.SaveWeights("best", adam.flat().parameters(), 2, identity_), std::system_error);
  EXPECT_THAT(Told(), SizeIs(0));
}

TEST_F(CheckpointStoreTest, OneOfATrainingThatKnewOneRankOnlyGoesOnAtTheSameBatchesPerUpdate) {
  model::Adam adam = MakeAdam(1);
  {
    CheckpointStore store(folder_ / "checkpoints", 2, &events_);
    store.SaveResumable(adam, {.update = 1}, {.spec_lines = {"train.update_frequency=2"}, .dataset_digest = "d"});
    store.Finish();
  }
  CheckpointStore store(folder_ / "checkpoints", 2, &events_);
  EXPECT_EQ(store.Restore(adam, identity_)->update, 1);
  identity_.spec_lines[0].back() = '4';
  try {
    store.Restore(adam, identity_);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), Cause::kBadSpec);
    EXPECT_THAT(failure.what(), HasSubstr("train.update_frequency x resources.ranks is 2 there and 4 here"));
  }
}

TEST_F(CheckpointStoreTest, WhatIsNewerThanTheCheckpointStoodAtItsDefault) {
  model::Adam adam = MakeAdam(1);
  {
    CheckpointStore store(folder_ / "checkpoints", 2, &events_);
    store.SaveResumable(adam, {.update = 1}, {.spec_lines = {"model.dim=16"}, .dataset_digest = "d"});
    store.Finish();
  }
  CheckpointStore store(folder_ / "checkpoints", 2, &events_);
  const auto restore = [&](const std::string& line) -> std::string {
    identity_.spec_lines = {"model.dim=16", line};
    try {
      return "update " + std::to_string(store.Restore(adam, identity_)->update);
    } catch (const Failure& failure) {
      return failure.what();
    }
  };
  EXPECT_EQ(restore("train.precision=fp32"), "update 1");
  EXPECT_EQ(restore(std::string(kBatchesPerUpdate) + "=1"), "update 1");
  EXPECT_THAT(restore("train.precision=bf16"), HasSubstr("train.precision is fp32 there and bf16 here"));
  EXPECT_THAT(restore("model.scheme=b2t"), HasSubstr("model.scheme is missing there and b2t here"));
}

}  // namespace
}  // namespace strata::trainer
