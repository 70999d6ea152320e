#include "client/commands/steer.h"

namespace strata::client {

void AddHold(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "hold",
      "Let no further attempt begin of an experiment, a trial or a job; what runs goes on. See 'strata release'.",
      {"strata hold quickstart-1", "strata hold quickstart-1/t3"});
  static std::string name;
  command->add_option("NAME", name, "Experiment, trial or job")->required();
  OnRun(command, context, [&context] {
    return Steer<v1::HoldJobRequest, v1::HoldExperimentRequest>(context, name, "hold", &v1::JobService::Stub::HoldJob,
                                                                &v1::ExperimentService::Stub::HoldExperiment);
  });
}

}  // namespace strata::client
