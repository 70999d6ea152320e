// One trial of a submission: its spec resolved and checked, its fingerprint taken, and what there is of it already.
//
// Fingerprint: SHA-256 over the canonical JSON of the parts of a spec that decide how the training comes out (task,
// model, train, diagnostics, resources; not `evaluate`, resources.min_ranks, resources.stall_seconds) and the dataset's
// digest; of a probe, which train.updates do not change, without those, and marked. Reuse: a trial refers to the newest
// trial of its fingerprint that trained itself and is SUCCEEDED or DIVERGED when the experiment is created. It shows
// that trial's jobs; scores that are missing there become EVALUATE jobs of its own, of that trial's weights. One that
// is still training is not waited for: both train. Extension: see extension.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/grid.h"
#include "server/core/types.h"
#include "server/store/store.h"
#include "strata/v1/experiment_service.pb.h"

namespace strata::service {

class ExtendedExperiment;

// A job that a trial shows: to be made, or another trial's.
struct PlannedJob {
  std::string leaf;      // train, probe, evaluate-1, ...
  std::string existing;  // name of the job it refers to; empty: to be made
  core::JobKind kind = core::JobKind::kTrain;
  std::string upstream;  // leaf of the same trial, or the full name of another trial's job
  bool accepts_diverged = false;
  int32_t ranks = 1;
};

// Where a trial goes on from.
struct Extension {
  store::Trial source;
  std::string job;                         // its TRAIN job
  int32_t update = 0;                      // of the checkpoint
  bool whole = false;                      // the checkpoint is at the source's last update
  std::vector<store::Artifact> artifacts;  // the checkpoint, and what else was left up to it
};

struct PlannedTrial {
  core::Cell cell;
  v1::TrialSpec spec;
  std::string spec_json;
  std::string fingerprint;
  std::string cost_class;  // equal for trials whose updates cost the same
  std::string dataset_digest;
  int32_t vocabulary = 0;  // pieces; 0: the dataset is not registered
  bool probe = false;
  std::string reused_from;
  std::optional<Extension> extension;
  std::vector<PlannedJob> jobs;
};

struct PlanOptions {
  bool force = false;      // nothing is reused
  bool plan_only = false;  // datasets that are not registered are no error
};

// Reads the store. `extended`: the experiment that is extended, or null.
struct TrialPlanner {
  const std::string& registry_json;
  store::Store& store;
  PlanOptions options;
  bool probe = false;
  const ExtendedExperiment* extended = nullptr;

  // INVALID_ARGUMENT and FAILED_PRECONDITION as CreateExperiment says.
  absl::StatusOr<PlannedTrial> Plan(const v1::TrialSpec& base, const core::Cell& cell) const;

 private:
  absl::Status FindWhatThereIs(PlannedTrial& trial) const;
  absl::Status Reuse(PlannedTrial& trial, const store::Trial& source, const core::Job& done) const;
};

// See above.
absl::StatusOr<std::string> Fingerprint(const v1::TrialSpec& spec, const std::string& dataset_digest,
                                        bool probe = false);

}  // namespace strata::service
