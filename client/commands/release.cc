#include "client/commands/steer.h"

namespace strata::client {

void AddRelease(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "release", "Take the hold of an experiment, a trial or a job back.",
                                 {"strata release quickstart-1", "strata release quickstart-1/t3"});
  static std::string name;
  command->add_option("NAME", name, "Experiment, trial or job")->required();
  OnRun(command, context, [&context] {
    return Steer<v1::ReleaseJobRequest, v1::ReleaseExperimentRequest>(
        context, name, "release", &v1::JobService::Stub::ReleaseJob, &v1::ExperimentService::Stub::ReleaseExperiment);
  });
}

}  // namespace strata::client
