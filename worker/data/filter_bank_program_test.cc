#include "worker/data/filter_bank_program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <thread>
#include <vector>

#include "model/data/shard.h"

namespace strata::data {
namespace {

using ::testing::FloatNear;
using ::testing::HasSubstr;
using ::testing::Pointwise;

constexpr char kTrainer[] = STRATA_BINARY_DIR "/worker/strata-trainer";

TEST(FilterBankProgramTest, MakesTheSameFilterBanksFromManyThreads) {
  FilterBankProgram filter_banks(kTrainer);
  std::vector<float> noise;
  for (int i = 0; i < 200'000; ++i) noise.push_back(std::sin(0.1f * static_cast<float>(i * (i % 251))));
  const std::vector<float> expected = FilterBank(16'000).Compute(noise);
  std::vector<std::vector<float>> found(4);
  {
    std::vector<std::jthread> threads;
    for (auto& features : found)
      threads.emplace_back([&] { features = filter_banks.Compute(FilterBank(16'000), noise); });
  }
  for (const auto& features : found) {
    EXPECT_EQ(features, found[0]);
    EXPECT_THAT(features, Pointwise(FloatNear(1e-3f), expected));
  }
}

TEST(FilterBankProgramTest, SaysWhichProgramCannotBeAsked) {
  for (const auto& [program, why] : std::vector<std::pair<std::string, std::string>>{
           {"/none/strata-trainer", "Cannot start /none/strata-trainer: No such file"},
           {"/bin/true", "/bin/true --filter-banks ended"}}) {
    FilterBankProgram filter_banks(program);
    try {
      filter_banks.Compute(FilterBank(8'000), std::vector<float>(400));
      ADD_FAILURE() << program;
    } catch (const model::DataError& e) {
      EXPECT_THAT(e.what(), HasSubstr(why));
    }
  }
}

}  // namespace
}  // namespace strata::data
