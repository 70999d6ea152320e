#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"

namespace strata::client {
namespace {

// Cancels one job. With `lenient`, one that has ended already is passed over.
absl::Status CancelJob(const Context& context, const Connection& connection, const std::string& name, bool lenient) {
  v1::CancelJobRequest request;
  request.set_name(name);
  const auto job = connection.CallPatiently(&v1::JobService::Stub::CancelJob, connection.jobs(), request);
  if (lenient && absl::IsFailedPrecondition(job.status())) return absl::OkStatus();
  if (!job.ok()) return job.status();
  if (context.json()) {
    PrintJson(*job);
  } else {
    std::printf("%s is %s.\n", ShortName(name).c_str(), StateName(job->state()).c_str());
  }
  return absl::OkStatus();
}

absl::Status Cancel(const Context& context, const std::string& text) {
  const auto name = ParseName(text);
  if (!name.ok()) return name.status();
  const Connection connection = context.Connect();
  if (name->kind == NameKind::kJob) return CancelJob(context, connection, name->full, /*lenient=*/false);
  if (name->kind == NameKind::kTrial) {
    v1::GetTrialRequest request;
    request.set_name(name->full);
    const auto trial = connection.Call(&v1::TrialService::Stub::GetTrial, connection.trials(), request);
    if (!trial.ok()) return trial.status();
    bool any = false;
    for (const v1::Job& job : trial->jobs()) {
      if (IsFinal(job.state())) continue;
      any = true;
      if (const absl::Status status = CancelJob(context, connection, job.name(), /*lenient=*/true); !status.ok())
        return status;
    }
    if (!any && !context.json())
      std::printf("%s has ended: nothing is left to cancel.\n", ShortName(name->full).c_str());
    return absl::OkStatus();
  }
  v1::CancelExperimentRequest request;
  request.set_name(name->full);
  const auto experiment =
      connection.CallPatiently(&v1::ExperimentService::Stub::CancelExperiment, connection.experiments(), request);
  if (!experiment.ok()) return experiment.status();
  if (context.json()) {
    PrintJson(*experiment);
  } else {
    std::printf("%s: %s.\n", ShortName(name->full).c_str(), StateCounts(*experiment).c_str());
  }
  return absl::OkStatus();
}

}  // namespace

void AddCancel(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "cancel", "Cancel what has not ended of an experiment, a trial or a job.",
                 {"strata cancel quickstart-1", "strata cancel quickstart-1/t3"});
  static std::string name;
  command->add_option("NAME", name, "Experiment, trial or job")->required();
  OnRun(command, context, [&context] { return Cancel(context, name); });
}

}  // namespace strata::client
