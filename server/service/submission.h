// From an ExperimentSpec to what is stored: the grid expanded, every trial planned (trial_plan.h). Reads the store,
// changes nothing.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/service/trial_plan.h"
#include "server/store/store.h"
#include "strata/v1/experiment_service.pb.h"

namespace strata::service {

inline constexpr int kMostTrials = 10000;
inline constexpr int kMostAxes = 32;
inline constexpr int kHighestPriority = 100;  // and the lowest is as far below 0

struct Submission {
  std::vector<PlannedTrial> trials;
  int32_t priority = 0;
  bool extends = false;  // it goes on from another experiment
};

// INVALID_ARGUMENT, FAILED_PRECONDITION or RESOURCE_EXHAUSTED as CreateExperiment and PlanExperiment say.
absl::StatusOr<Submission> PlanSubmission(const v1::ExperimentSpec& spec, const PlanOptions& options,
                                          const std::string& registry_json, store::Store& store);

}  // namespace strata::service
