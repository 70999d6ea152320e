#include "worker/trainer/average.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "worker/trainer/failure.h"
#include "worker/trainer/testing.h"

namespace strata::trainer {
namespace {

TEST(AverageWeightsTest, IsTheMeanOfEachTensorInDouble) {
  const testing::ScratchFolder folder;
  EventLog events(folder / "spool", 1, 0);
  CheckpointStore store(folder / "checkpoints", 1, &events);
  const CheckpointIdentity identity{.spec_lines = {"model.dim=2"}, .dataset_digest = "d"};
  const std::vector<std::vector<float>> values = {{1e8F, 0.1F}, {1, 0.2F}, {-1e8F, 0.4F}};
  std::vector<std::filesystem::path> files;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string kind = "w" + std::to_string(i);
    store.SaveWeights(kind, {{"a", at::tensor(values[i])}}, static_cast<int64_t>(10 * (i + 1)), identity);
    store.Finish();
    files.push_back(folder / "checkpoints" / (kind + ".safetensors"));
  }
  const at::Tensor mean = at::zeros({2});
  EXPECT_EQ(AverageWeights(files, {{"a", mean}}, identity), 30);
  EXPECT_EQ(mean[0].item<float>(), static_cast<float>(1. / 3)) << "in fp32 the one would be lost beside 1e8";
  EXPECT_EQ(mean[1].item<float>(), static_cast<float>((0.1F + double{0.2F} + 0.4F) / 3));
  EXPECT_EQ(AverageWeights({files[1]}, {{"a", mean}}, identity), 20);
  EXPECT_EQ(mean[0].item<float>(), 1);
  EXPECT_THROW(AverageWeights({}, {{"a", mean}}, identity), Failure);
  EXPECT_THROW(
      AverageWeights({files[0], folder / "checkpoints/../checkpoints/w0.safetensors"}, {{"a", mean}}, identity),
      Failure);
}

}  // namespace
}  // namespace strata::trainer
