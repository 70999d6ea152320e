#include "client/commands/steer.h"

namespace strata::client {

void AddCancel(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "cancel", "Cancel what has not ended of an experiment, a trial or a job.",
                 {"strata cancel quickstart-1", "strata cancel quickstart-1/t3"});
  static std::string name;
  command->add_option("NAME", name, "Experiment, trial or job")->required();
  OnRun(command, context, [&context] {
    return Steer<v1::CancelJobRequest, v1::CancelExperimentRequest>(
        context, name, "cancel", &v1::JobService::Stub::CancelJob, &v1::ExperimentService::Stub::CancelExperiment);
  });
}

}  // namespace strata::client
