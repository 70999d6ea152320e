#include "worker/trainer/batch_memory.h"

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <new>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

model::Batch SomeBatch() {
  return {.source_BS = at::zeros({12, 31}, at::kLong), .target_BT = at::zeros({12, 40}, at::kLong), .target_tokens = 410, .sentences = 12};
}

Failure Thrown(const std::exception& error) {
  try {
    ThrowOnBatch(error, "update 7", ShapeOf(SomeBatch()), "Lower train.max_tokens.");
  } catch (const Failure& failure) {
    return failure;
  }
}

TEST(BatchMemoryTest, ADeviceThatRunsOutIsTheBatchsFault) {
  const c10::OutOfMemoryError error({__func__, __FILE__, 0}, "CUDA out of memory. Tried to allocate 2.00 GiB.");
  const Failure failure = Thrown(error);
  EXPECT_EQ(failure.cause(), Cause::kOutOfMemory);
  EXPECT_THAT(failure.what(), AllOf(HasSubstr("update 7"), HasSubstr("12 sentences x 31 source and 40 target tokens"),
                                    HasSubstr("410 target tokens in all"), HasSubstr("2.00 GiB"),
                                    HasSubstr("Lower train.max_tokens.")));
}

TEST(BatchMemoryTest, SoIsTheProcessor) {
  const c10::Error none({__func__, __FILE__, 0}, "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.");
  EXPECT_EQ(Thrown(none).cause(), Cause::kOutOfMemory);
  EXPECT_EQ(Thrown(std::bad_alloc()).cause(), Cause::kOutOfMemory);
  EXPECT_THAT(Thrown(std::bad_alloc()).what(), HasSubstr("12 sentences"));
}

TEST(BatchMemoryTest, SoIsALibraryOfTheDevices) {
  const c10::Error blas({__func__, __FILE__, 0}, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`");
  EXPECT_EQ(Thrown(blas).cause(), Cause::kOutOfMemory);
}

TEST(BatchMemoryTest, WhatIsNoMatterOfMemoryStaysWhatItIs) {
  const Failure other = Thrown(Failure(Cause::kDataError, "A shard is damaged."));
  EXPECT_EQ(other.cause(), Cause::kDataError);
  EXPECT_STREQ(other.what(), "A shard is damaged.");
  EXPECT_EQ(Thrown(c10::Error({__func__, __FILE__, 0}, "shapes differ")).cause(), Cause::kInternal);
}

TEST(BatchMemoryTest, ClipsHaveFrames) {
  const model::Batch batch{.source_features_BSF = at::zeros({2, 300, 80}), .target_BT = at::zeros({2, 9}, at::kLong),
                           .target_tokens = 15, .sentences = 2};
  EXPECT_EQ(ShapeOf(batch), "2 sentences x 300 frames and 9 target tokens, 15 target tokens in all");
}

}  // namespace
}  // namespace strata::trainer
