#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/optim/adam.h"
#include "model/optim/schedule.h"

namespace strata::model {
namespace {

TEST(InverseSquareRootTest, RatesAreFairseqs) {
  const auto golden =
      nlohmann::json::parse(std::ifstream(STRATA_SOURCE_DIR "/tests/golden/data/misc_schedule_batching.json"));
  ASSERT_GE(golden.at("inverse_sqrt").size(), 2u);
  for (const auto& c : golden.at("inverse_sqrt")) {
    const InverseSquareRoot schedule{
        .peak = c.at("lr"), .warmup = c.at("warmup_updates"), .initial = c.at("warmup_init_lr")};
    for (size_t i = 0; i < c.at("num_updates").size(); ++i) {
      const double expected = c.at("lr_used_for_update_n_plus_1").at(i);
      EXPECT_NEAR(schedule.At(c.at("num_updates").at(i)), expected, 1e-14 + 1e-12 * expected)
          << c.at("num_updates").at(i);
    }
  }
}

TEST(InverseSquareRootNoWarmupTest, StartsAtThePeakAndHalvesAfterThreeOffsets) {
  const InverseSquareRootNoWarmup schedule{.peak = 2e-3, .offset = 100};
  EXPECT_EQ(schedule.At(0), 2e-3);
  EXPECT_NEAR(schedule.At(100), 2e-3 / std::sqrt(2.0), 1e-18);
  EXPECT_NEAR(schedule.At(300), 1e-3, 1e-18);
}

std::vector<NamedParameter> Parameters() {
  at::manual_seed(1);
  std::vector<NamedParameter> parameters{
      {"a.weight", at::randn({3, 5})}, {"a.bias", at::randn({7})}, {"b.weight", at::randn({40})}};
  for (auto& parameter : parameters) parameter.tensor.set_requires_grad(true);
  return parameters;
}

// The formula, element by element in double.
struct Reference {
  AdamOptions options;
  std::vector<double> p, m, v;
  void Step(const std::vector<double>& g, double rate, int64_t t) {
    m.resize(p.size());
    v.resize(p.size());
    for (size_t i = 0; i < p.size(); ++i) {
      p[i] -= rate * options.weight_decay * p[i];
      m[i] = options.beta1 * m[i] + (1 - options.beta1) * g[i];
      v[i] = options.beta2 * v[i] + (1 - options.beta2) * g[i] * g[i];
      const double step = rate * std::sqrt(1 - std::pow(options.beta2, t)) / (1 - std::pow(options.beta1, t));
      p[i] -= step * m[i] / (std::sqrt(v[i]) + options.epsilon);
    }
  }
};

TEST(AdamTest, StepsAsFairseqWithEpsilonNotCorrected) {
  // Epsilon as large as the gradients, so that its correction would show.
  for (const AdamOptions options :
       {AdamOptions{}, AdamOptions{.epsilon = 0.1}, AdamOptions{.epsilon = 1e-3, .weight_decay = 0.1}}) {
    auto parameters = Parameters();
    Reference reference{options};
    for (const auto& parameter : parameters) {
      const at::Tensor flat = parameter.tensor.detach().reshape(-1);
      reference.p.insert(reference.p.end(), flat.data_ptr<float>(), flat.data_ptr<float>() + flat.numel());
    }
    Adam adam(parameters, options);
    for (int64_t t = 1; t <= 5; ++t) {
      adam.ZeroGradients();
      std::vector<double> gradients;
      for (auto& parameter : parameters) {
        const at::Tensor gradient = at::randn(parameter.tensor.sizes());
        (parameter.tensor * gradient).sum().backward();
        const at::Tensor flat = gradient.reshape(-1);
        for (int64_t i = 0; i < flat.numel(); ++i) gradients.push_back(static_cast<double>(flat[i].item<float>()) / 4);
      }
      adam.Step(0.01 * static_cast<double>(t), /*gradient_divisor=*/4);
      reference.Step(gradients, 0.01 * static_cast<double>(t), t);
    }
    size_t next = 0;
    for (const auto& parameter : parameters) {
      const at::Tensor flat = parameter.tensor.detach().reshape(-1);
      for (int64_t i = 0; i < flat.numel(); ++i)
        EXPECT_NEAR(flat[i].item<float>(), reference.p[next++], 2e-6) << options.epsilon;
    }
  }
}

TEST(FlatParametersTest, ModelsTensorsAreViewsOfTheBuffers) {
  auto parameters = Parameters();
  const at::Tensor before = parameters[2].tensor.detach().clone();
  FlatParameters flat(parameters);
  EXPECT_TRUE(parameters[2].tensor.detach().equal(before));
  EXPECT_EQ(flat.elements(), 15 + 7 + 40);
  flat.weights().fill_(2);
  EXPECT_EQ(parameters[1].tensor.sum().item<float>(), 14);
  for (int pass = 0; pass < 2; ++pass) (parameters[1].tensor * 3).sum().backward();  // gradients add up in place
  EXPECT_EQ(flat.gradients().sum().item<float>(), 42);
  EXPECT_NEAR(flat.GradientNorm(0.5), 0.5 * 6 * std::sqrt(7), 1e-12);
  EXPECT_NEAR(flat.GradientNorm("a.", 1), 6 * std::sqrt(7), 1e-12);
  EXPECT_EQ(flat.GradientNorm("b.", 1), 0);
  flat.ZeroGradients();
  EXPECT_EQ(parameters[1].tensor.grad().abs().sum().item<float>(), 0);
  for (const auto& parameter : parameters) EXPECT_EQ(reinterpret_cast<uintptr_t>(parameter.tensor.data_ptr()) % 64, 0u);
}

TEST(FlatParametersTest, NormSeesWhatIsNotFinite) {
  FlatParameters flat(Parameters());
  flat.gradients()[20] = INFINITY;
  EXPECT_TRUE(std::isinf(flat.GradientNorm()));
  flat.gradients()[3] = NAN;
  EXPECT_TRUE(std::isnan(flat.GradientNorm()));
}

TEST(FlatParametersTest, NormIsExactToDouble) {
  std::vector<NamedParameter> parameters{{"w", at::full({3'000'000}, 0.1f).set_requires_grad(true)}};
  FlatParameters flat(parameters);
  flat.gradients().fill_(0.1f);
  EXPECT_NEAR(flat.GradientNorm() / (static_cast<double>(0.1f) * std::sqrt(3e6)), 1, 1e-6);
}

}  // namespace
}  // namespace strata::model
