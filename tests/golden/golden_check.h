// Runs a case through our model and measures how far it is from the reference.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/golden/golden_case.h"

namespace strata::golden {

// Bounds (docs: how agreement is measured), in fp32, on processors and GPUs alike.
inline constexpr double kLogitsBound = 2e-5, kLossBound = 1e-5, kGradientBound = 1e-4, kTrajectoryBound = 1e-4,
                        kScoreBound = 1e-4;

struct Outcome {
  std::string name;
  std::optional<double> logits_max_abs, loss_rel, grad_max_rel, trajectory_max_rel;
  std::optional<bool> beam_equal;
  std::vector<std::string> failures;  // empty: the case passes
  std::string skipped_because;

  bool passed() const { return failures.empty(); }
  nlohmann::json ToJson() const;
};

// On which device our model computes. Never throws: what goes wrong is a failure of the case.
Outcome CheckCase(const std::filesystem::path& safetensors, const at::Device& device = at::kCPU);

}  // namespace strata::golden
