// Fresh models against the statistics of the authors' (tests/golden/data/init_stats.json, d 512): tensors that are
// constant there agree exactly, the others in mean and standard deviation within 5 standard errors of the difference of
// two samples.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "model/tasks/task.h"

namespace strata::model {
namespace {

// Threads that wait for each other gain nothing on models this small.
[[maybe_unused]] const bool one_thread = (at::set_num_threads(1), true);

nlohmann::json Statistics() {
  return nlohmann::json::parse(std::ifstream(STRATA_SOURCE_DIR "/tests/golden/data/init_stats.json")).at("stats");
}

// Standard error of a sample's standard deviation: by the fourth moment.
double DeviationError(const at::Tensor& values, double deviation) {
  const double fourth = (values - values.mean()).pow(4).mean().item<double>();
  const double n = static_cast<double>(values.numel());
  return std::sqrt(std::max(fourth - std::pow(deviation, 4), 0.0) / n) / (2 * deviation);
}

struct InitialCase {
  std::string row, scheme;
  int64_t layers;
  bool rescale;
};

class InitialisationTest : public ::testing::TestWithParam<InitialCase> {};

TEST_P(InitialisationTest, AgreesWithTheAuthorsCode) {
  const InitialCase& c = GetParam();
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  generator.set_current_seed(11);
  const auto model = CreateModel({.scheme = c.scheme,
                                  .encoder_layers = c.layers,
                                  .decoder_layers = c.layers,
                                  .vocabulary = 4000,
                                  .rescale_init = c.rescale});
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : model->Parameters()) tensors[name] = tensor.detach();
  std::map<std::string, at::Tensor> parts;
  for (const NamedView& view : model->FairseqViews())
    parts[view.name] = tensors.at(view.parameter).narrow(0, view.begin, view.rows);
  const nlohmann::json statistics = Statistics().at(c.row);
  size_t compared = 0;
  for (const auto& [name, theirs] : statistics.items()) {
    ASSERT_EQ(parts.count(name), 1u) << name;
    const at::Tensor ours = parts.at(name).to(at::kDouble);
    ASSERT_EQ(nlohmann::json(ours.sizes().vec()), theirs.at("shape")) << name;
    const double mean = theirs.at("mean"), deviation = theirs.at("std"), n = static_cast<double>(ours.numel());
    if (deviation == 0) {
      EXPECT_EQ(ours.min().item<double>(), mean) << name;
      EXPECT_EQ(ours.max().item<double>(), mean) << name;
    } else {
      EXPECT_LT(std::abs(ours.mean().item<double>() - mean), 5 * std::sqrt(2 / n) * deviation) << name;
      EXPECT_LT(std::abs(ours.std().item<double>() - deviation), 5 * std::sqrt(2.0) * DeviationError(ours, deviation))
          << name;
    }
    ++compared;
  }
  EXPECT_GT(compared, 100u);
}

INSTANTIATE_TEST_SUITE_P(Rows, InitialisationTest,
                         ::testing::Values(InitialCase{"post_6L6L", "post_ln", 6, false},
                                           InitialCase{"post_6L6L", "pre_ln", 6, false},
                                           InitialCase{"post_6L6L", "b2t", 6, false},
                                           InitialCase{"b2t_6L6L", "b2t", 6, true}),
                         [](const auto& info) { return info.param.row + "_as_" + info.param.scheme; });
INSTANTIATE_TEST_SUITE_P(DeepRows, InitialisationTest,
                         ::testing::Values(InitialCase{"post_18L18L", "post_ln", 18, false},
                                           InitialCase{"b2t_18L18L", "b2t", 18, true}),
                         [](const auto& info) { return info.param.row; });

// Matched comparison: what two schemes share starts in the same bits, whatever else one of them has.
TEST(InitialisationTest, DependsOnSeedAndNameOnly) {
  const auto make = [](const std::string& scheme) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    generator.set_current_seed(3);
    return CreateModel({.scheme = scheme,
                        .encoder_layers = 2,
                        .decoder_layers = 2,
                        .dim = 16,
                        .ffn_dim = 32,
                        .heads = 2,
                        .vocabulary = 30});
  };
  const auto pre = make("pre_ln"), post = make("post_ln");
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [name, tensor] : pre->Parameters()) tensors[name] = tensor;
  ASSERT_GT(tensors.size(), post->Parameters().size());
  for (const auto& [name, tensor] : post->Parameters()) EXPECT_TRUE(at::equal(tensor, tensors.at(name))) << name;
}

}  // namespace
}  // namespace strata::model
