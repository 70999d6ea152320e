#include "client/commands/cluster.h"
#include "client/commands/command.h"

namespace strata::client {
namespace {

struct DownOptions {
  int timeout = 120;
  bool force = false;
};

absl::Status Down(const DownOptions& options) {
  const HomePaths paths{StrataHome()};
  const auto lock = LockCluster(paths);
  if (!lock.ok()) return lock.status();
  bool ran = false;
  for (const Daemon& daemon :
       {AgentDaemon(paths), CoordinatorDaemon(paths)}) {  // the agent first: its trainers write checkpoints
    if (!RunningPid(daemon)) continue;
    ran = true;
    if (const absl::Status status = StopDaemon(daemon, std::chrono::seconds(options.timeout), options.force);
        !status.ok())
      return status;
    std::printf("%s has stopped.\n", daemon.name.c_str());
    std::fflush(stdout);
  }
  if (!ran) std::printf("Nothing runs under %s.\n", paths.home.c_str());
  return absl::OkStatus();
}

}  // namespace

void AddDown(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "down",
                 "Stop what 'strata up' started. Trainings write a checkpoint and go on at the next 'strata up'.",
                 {"strata down", "strata down --timeout 300"}, "");
  static DownOptions options;
  command->add_option("--timeout", options.timeout, "Seconds to wait for each process")->check(CLI::Range(0, 86400));
  command->add_flag("--force", options.force, "Kill what has not stopped by then");
  OnRun(command, context, [] { return Down(options); });
}

}  // namespace strata::client
