// Experiments, trials and jobs as callers see them: rows of the store, with what only memory knows (place in the queue,
// how fast a training goes). Errors as the RPCs that show them say. Thread-safe.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/service/coordinator.h"
#include "server/service/live_trials.h"
#include "strata/v1/resources.pb.h"

namespace strata::service {

class Views {
 public:
  Views(Coordinator& coordinator, LiveTrials& live) : coordinator_(coordinator), live_(live) {}

  absl::StatusOr<v1::Experiment> Experiment(const std::string& name);
  absl::StatusOr<v1::Experiment> Experiment(const store::Experiment& row);
  absl::StatusOr<v1::Trial> Trial(const std::string& name);
  // Trials of an experiment in the order of the grid, from `position` on.
  absl::StatusOr<std::vector<v1::Trial>> Trials(const std::string& experiment, int32_t position, int limit);
  absl::StatusOr<v1::Job> Job(const std::string& name);
  absl::StatusOr<std::vector<v1::Job>> JobsOfTrial(const std::string& trial);
  // Jobs of all trials by order of submission.
  absl::StatusOr<std::vector<v1::Job>> Jobs(const std::vector<core::Job>& rows);

  // The row of a job, also by the name that a trial shows it under though another trial's. NotFound.
  absl::StatusOr<core::Job> FindJob(const std::string& name);
  // NotFound says what there is none of.
  absl::StatusOr<store::Trial> FindTrial(const std::string& name);
  absl::StatusOr<store::Experiment> FindExperiment(const std::string& name);

 private:
  using Attempts = std::map<std::string, std::vector<store::AttemptRecord>>;
  absl::StatusOr<v1::Trial> Assemble(const store::Trial& row, const std::vector<store::TrialJob>& jobs,
                                     const Attempts& attempts);
  v1::Job Assemble(const core::Job& row, const std::vector<store::AttemptRecord>& attempts);
  // Fills in why queued jobs wait.
  absl::Status Explain(const std::vector<v1::Job*>& jobs);

  Coordinator& coordinator_;
  LiveTrials& live_;
};

}  // namespace strata::service
