// What cancel, hold and release share: one call for a whole experiment, one for each job of a trial.
#pragma once

#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"

namespace strata::client {

// Steers one job. With `lenient`, one that has ended already is passed over.
template <typename JobRequest, typename JobMethod>
absl::Status SteerJob(const Context& context, const Connection& connection, const std::string& name, bool lenient,
                      JobMethod method) {
  JobRequest request;
  request.set_name(name);
  const auto job = connection.CallPatiently(method, connection.jobs(), request);
  if (lenient && absl::IsFailedPrecondition(job.status())) return absl::OkStatus();
  if (!job.ok()) return job.status();
  if (context.json()) {
    PrintJson(*job);
  } else {
    std::printf("%s is %s%s.\n", ShortName(name).c_str(), StateName(job->state()).c_str(), job->held() ? ", held" : "");
  }
  return absl::OkStatus();
}

// `text` names an experiment, a trial or a job; `verb` is what is done to it: "cancel".
template <typename JobRequest, typename ExperimentRequest, typename JobMethod, typename ExperimentMethod>
absl::Status Steer(const Context& context, const std::string& text, const std::string& verb, JobMethod job_method,
                   ExperimentMethod experiment_method) {
  const auto name = ParseName(text);
  if (!name.ok()) return name.status();
  const Connection connection = context.Connect();
  if (name->kind == NameKind::kJob) {
    return SteerJob<JobRequest>(context, connection, name->full, /*lenient=*/false, job_method);
  }
  if (name->kind == NameKind::kTrial) {
    v1::GetTrialRequest request;
    request.set_name(name->full);
    const auto trial = connection.Call(&v1::TrialService::Stub::GetTrial, connection.trials(), request);
    if (!trial.ok()) return trial.status();
    bool any = false;
    for (const v1::Job& job : trial->jobs()) {
      if (IsFinal(job.state())) continue;
      any = true;
      const absl::Status status = SteerJob<JobRequest>(context, connection, job.name(), /*lenient=*/true, job_method);
      if (!status.ok()) return status;
    }
    if (!any && !context.json())
      std::printf("%s has ended: nothing is left to %s.\n", ShortName(name->full).c_str(), verb.c_str());
    return absl::OkStatus();
  }
  ExperimentRequest request;
  request.set_name(name->full);
  const auto experiment = connection.CallPatiently(experiment_method, connection.experiments(), request);
  if (!experiment.ok()) return experiment.status();
  if (context.json()) {
    PrintJson(*experiment);
  } else {
    std::printf("%s: %s.\n", ShortName(name->full).c_str(), StateCounts(*experiment).c_str());
  }
  return absl::OkStatus();
}

}  // namespace strata::client
