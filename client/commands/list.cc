#include "client/commands/command.h"
#include "client/format.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/table.h"

namespace strata::client {
namespace {

absl::Status List(const Context& context, bool quiet) {
  const auto experiments = ListExperiments(context.Connect());
  if (!experiments.ok()) return experiments.status();
  if (context.json()) {
    PrintJsonList("experiments", *experiments);
    return absl::OkStatus();
  }
  if (quiet) {
    for (const auto& experiment : *experiments) std::puts(ShortName(experiment.name()).c_str());
    return absl::OkStatus();
  }
  if (experiments->empty()) {
    std::puts("No experiments yet. 'strata spec init' prints one to begin with, 'strata submit' starts it.");
    return absl::OkStatus();
  }
  Table table({"EXPERIMENT", ">TRIALS", "DONE", "TRIALS BY STATE", "SUBMITTED"});
  for (const auto& experiment : *experiments) {
    table.Add({ShortName(experiment.name()), FormatCount(experiment.trials()), experiment.done() ? "yes" : "no",
               StateCounts(experiment), FormatTime(experiment.create_time())});
  }
  std::fputs(table.Text().c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace

void AddList(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "list", "List experiments, newest first.", {"strata list", "strata list --output json"});
  static bool quiet = false;
  command->add_flag("-q,--quiet", quiet, "Names only");
  OnRun(command, context, [&context] { return List(context, quiet); });
}

}  // namespace strata::client
