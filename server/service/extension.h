// Going on from an experiment's trainings: ExperimentSpec.extends. A trial that differs from one of them in
// train.updates alone, upwards, begins with that one's last resumable checkpoint. The learning-rate schedule does not
// depend on train.updates, so it ends in the same weights as a training of that length from the beginning.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/service/trial_plan.h"
#include "server/store/store.h"

namespace strata::service {

class ExtendedExperiment {
 public:
  // NOT_FOUND: there is none of that name. INVALID_ARGUMENT: it only probed.
  static absl::StatusOr<ExtendedExperiment> Read(const std::string& name, store::Store& store);

  // What `trial` has in this experiment.
  struct Found {
    std::optional<Extension> extension;                       // it goes on from there
    std::optional<std::pair<store::Trial, core::Job>> ended;  // it diverged before: a longer training ends the same
  };
  // Neither: it begins anew, because no trial differs in train.updates alone, or the one that does left no checkpoint.
  // INVALID_ARGUMENT: those that do were trained for more updates. FAILED_PRECONDITION: one still trains.
  absl::StatusOr<Found> Find(const PlannedTrial& trial, store::Store& store) const;

 private:
  struct Source {
    store::Trial shown;    // in this experiment
    store::Trial trained;  // itself, or the one that was trained for it
    core::Job job;
  };
  std::string name_;
  std::map<std::string, std::vector<Source>> sources_;  // by what must agree
};

}  // namespace strata::service
