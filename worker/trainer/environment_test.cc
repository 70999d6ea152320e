#include "worker/trainer/environment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

TEST(EnvironmentTest, Bf16IsRefusedWhereItIsLackingInOneSentenceThatNamesTheField) {
  Environment environment;
  environment.bf16_lacks = "this worker's GPU is a Tesla T4 of compute capability 7.5. Set FIELD: fp32.";
  EXPECT_NO_THROW(CheckPrecision(environment, "train.precision", model::Precision::kFloat32));
  try {
    CheckPrecision(environment, "train.precision", model::Precision::kBfloat16);
    FAIL() << "it was taken";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), Cause::kBadSpec);
    EXPECT_STREQ(failure.what(),
                 "train.precision is bf16, but this worker's GPU is a Tesla T4 of compute capability 7.5. Set train.precision: fp32.");
  }
  environment.bf16_lacks.clear();
  EXPECT_NO_THROW(CheckPrecision(environment, "train.precision", model::Precision::kBfloat16));
}

}  // namespace
}  // namespace strata::trainer
