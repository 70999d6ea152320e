// The rows of a planned experiment, in the order in which they rest on each other.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "server/service/submission.h"

namespace strata::service {

// `row` is the experiment's own. A trial that goes on from another's checkpoint gets what that one left up to there as
// its own: the measurements as of attempt 0, and the files by links, so that deleting either's leaves the other's.
// Files are linked before anything is written; an error means that nothing is stored.
absl::Status WriteExperiment(Coordinator::Change& change, const Submission& submission, const store::Experiment& row,
                             const DataFolder& folder);

// FAILED_PRECONDITION "INFEASIBLE: ..." where a job needs more slots than all connected workers have.
absl::Status CheckFeasible(const Submission& submission, Coordinator& coordinator);

}  // namespace strata::service
