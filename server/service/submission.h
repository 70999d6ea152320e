// From an ExperimentSpec to what is stored: the grid expanded, every trial's spec resolved and checked, fingerprints
// taken, trials that are done already found. Reads the store, changes nothing.
//
// Fingerprint: SHA-256 over the canonical JSON of the parts of a spec that decide how the training comes out (task,
// model, train, diagnostics, resources; not `evaluate`) and the dataset's digest. Reuse: a trial refers to the newest
// trial of its fingerprint that trained itself and is SUCCEEDED or DIVERGED when the experiment is created. It shows
// that trial's jobs; scores that are missing there become EVALUATE jobs of its own, of that trial's weights. One that
// is still training is not waited for: both train.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/store/store.h"
#include "strata/v1/experiment_service.pb.h"

namespace strata::service {

inline constexpr int kMostTrials = 10000;
inline constexpr int kMostAxes = 32;

// A job that a trial shows: to be made, or another trial's.
struct PlannedJob {
  std::string leaf;      // train, evaluate-1, ...
  std::string existing;  // name of the job it refers to; empty: to be made
  core::JobKind kind = core::JobKind::kTrain;
  std::string upstream;  // leaf of the same trial, or the full name of another trial's job
  bool accepts_diverged = false;
};

struct PlannedTrial {
  v1::TrialSpec spec;
  std::string spec_json;
  std::string fingerprint;
  std::string dataset_digest;
  std::string reused_from;
  std::vector<PlannedJob> jobs;
};

struct Submission {
  std::vector<PlannedTrial> trials;
  v1::Estimate estimate;
};

// INVALID_ARGUMENT, FAILED_PRECONDITION or RESOURCE_EXHAUSTED as CreateExperiment says.
absl::StatusOr<Submission> PlanSubmission(const v1::ExperimentSpec& spec, bool force, const std::string& registry_json,
                                          store::Store& store);

// See above.
absl::StatusOr<std::string> Fingerprint(const v1::TrialSpec& spec, const std::string& dataset_digest);

}  // namespace strata::service
