#include "client/top/top.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "client/commands/command.h"
#include "client/names.h"
#include "client/top/terminal.h"

namespace strata::client {
namespace {

struct TopOptions {
  std::string experiment;
  bool once = false;
};

bool NoColor() {
  const char* value = std::getenv("NO_COLOR");
  return value != nullptr && *value != '\0';
}

absl::Status Top(const Context& context, const TopOptions& options) {
  std::string name;
  if (!options.experiment.empty()) {
    const auto full = ParseNameOf(NameKind::kExperiment, options.experiment);
    if (!full.ok()) return full.status();
    name = *full;
  }
  if (name.empty() && options.once)
    return absl::InvalidArgumentError(
        "EXPERIMENT: --once prints the board of one. 'strata list' shows which there are.");
  if (options.once) return top::PrintOnce(context.Connect(), name);
  if (const absl::Status usable = top::Terminal::Usable(); !usable.ok()) {
    if (name.empty()) {
      return absl::InvalidArgumentError(
          std::string(usable.message()) +
          " Name an EXPERIMENT to follow it in plain lines; 'strata list' shows which there are.");
    }
    if (isatty(STDOUT_FILENO) != 0)
      std::fprintf(stderr, "%s Plain lines follow instead.\n", std::string(usable.message()).c_str());
    return Watch(context.Connect(), name, /*draw=*/false);
  }
  return top::Monitor([&context] { return context.Connect(); }, {name, !NoColor()});
}

}  // namespace

void AddTop(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "top",
      "Monitor in the whole terminal: a board of scheme by depth, a trial's loss and gradient norms, workers, logs. "
      "Without a terminal one line for each trial that changes. '?' lists its keys.",
      {"strata top", "strata top quickstart-1", "strata top quickstart-1 --once"}, "");
  static TopOptions options;
  command->add_option("EXPERIMENT", options.experiment, "Experiment; else one is chosen from a list");
  command->add_flag("--once", options.once, "Print the board once, as plain text");
  OnRun(command, context, [&context] { return Top(context, options); });
}

}  // namespace strata::client
