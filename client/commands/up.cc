#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/commands/cluster.h"
#include "client/commands/command.h"
#include "client/measurements.h"
#include "client/names.h"
#include "nlohmann/json.hpp"

namespace strata::client {
namespace {

constexpr int kPort = 7070;
constexpr int kMetricsPort = 7071;
constexpr int kAgentMetricsPort = 7072;
constexpr std::chrono::seconds kPatience{30};
constexpr char kWorkerName[] = "local";

struct UpOptions {
  int slots = 0;
  int port = 0;
  std::vector<std::string> detokenisers;
};

std::string Local(int port) { return absl::StrCat("127.0.0.1:", port); }

// The daemon's own last words since it was started, as the reason why it did not come up.
absl::Status DidNotStart(const Daemon& daemon) {
  return absl::InternalError(
      absl::StrCat(daemon.name, " did not come up. It says:\n", LogTail(daemon, 5), "\nIts log is ", daemon.log, "."));
}

absl::Status StartCoordinator(const HomePaths& paths, const UpOptions& options, Cluster& cluster) {
  const Daemon daemon = CoordinatorDaemon(paths);
  const int wanted = options.port != 0 ? options.port : cluster.port;
  if (wanted != 0 && !PortIsFree(wanted)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "Port ", wanted, " is taken by another program. Free it, or choose another: strata up --port PORT."));
  }
  cluster.port = wanted != 0 ? wanted : FreePort(kPort);
  cluster.metrics_port = FreePort(cluster.metrics_port != 0 ? cluster.metrics_port : kMetricsPort);
  if (const absl::Status status = WriteCluster(paths, cluster); !status.ok()) return status;
  const auto program = FindProgram("server", daemon.name);
  if (!program.ok()) return program.status();
  return StartDaemon(daemon, *program,
                     {"--data-dir", paths.coordinator(), "--listen", Local(cluster.port), "--metrics-listen",
                      Local(cluster.metrics_port), "--address-file", paths.address_file()});
}

absl::Status StartAgent(const HomePaths& paths, const UpOptions& options, Cluster& cluster) {
  const Daemon daemon = AgentDaemon(paths);
  if (!options.detokenisers.empty()) cluster.detokenisers = options.detokenisers;
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  cluster.slots = options.slots != 0 ? options.slots : cluster.slots != 0 ? cluster.slots : cores;
  cluster.agent_metrics_port =
      FreePort(cluster.agent_metrics_port != 0 ? cluster.agent_metrics_port : kAgentMetricsPort);
  if (const absl::Status status = WriteCluster(paths, cluster); !status.ok()) return status;
  const auto program = FindProgram("worker", daemon.name);
  if (!program.ok()) return program.status();
  return StartDaemon(daemon, *program, AgentArguments(paths, cluster, kWorkerName));
}

// Until the coordinator answers and, with `worker`, our worker is ready.
absl::Status AwaitHealth(const Cluster& cluster, const Daemon& daemon, bool worker) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (PortIsFree(cluster.port) &&
         std::chrono::steady_clock::now() < deadline) {  // a refused connection would back off
    if (!RunningPid(daemon)) return DidNotStart(daemon);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  const Connection connection(Local(cluster.port));
  while (std::chrono::steady_clock::now() < deadline) {
    if (!RunningPid(daemon)) return DidNotStart(daemon);
    const auto workers = connection.Reachable() ? ListWorkers(connection) : absl::UnavailableError("");
    if (workers.ok() && !worker) return absl::OkStatus();
    if (workers.ok()) {
      for (const v1::Worker& each : *workers) {
        if (LastPart(each.name()) == kWorkerName && each.state() == v1::WORKER_STATE_READY) return absl::OkStatus();
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return DidNotStart(daemon);
}

void Print(const Context& context, const HomePaths& paths, const Cluster& cluster, const std::string& what) {
  if (context.json()) {
    const nlohmann::ordered_json json = {{"address", Local(cluster.port)},
                                         {"metrics", Local(cluster.metrics_port)},
                                         {"agent_metrics", Local(cluster.agent_metrics_port)},
                                         {"slots", cluster.slots},
                                         {"home", paths.home}};
    std::puts(json.dump(2).c_str());
    return;
  }
  std::printf("%s\n", what.c_str());
  std::printf("  coordinator  %s   metrics http://%s/metrics\n", Local(cluster.port).c_str(),
              Local(cluster.metrics_port).c_str());
  std::printf("  agent        %d slot%s           metrics http://%s/metrics\n", cluster.slots,
              cluster.slots == 1 ? " " : "s", Local(cluster.agent_metrics_port).c_str());
  std::printf("  home         %s\n", paths.home.c_str());
}

absl::Status CheckDetokenisers(const UpOptions& options) {
  for (const std::string& detokeniser : options.detokenisers) {
    const size_t equals = detokeniser.find('=');
    if (equals != std::string::npos && equals > 0 && equals + 1 < detokeniser.size()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "--detokeniser: \"", detokeniser, "\" is not NAME=COMMAND, e.g. moses-de='sacremoses -l de detokenize'."));
  }
  return absl::OkStatus();
}

absl::Status Up(const Context& context, const UpOptions& options) {
  if (const absl::Status status = CheckDetokenisers(options); !status.ok()) return status;
  const HomePaths paths{StrataHome()};
  const auto lock = LockCluster(paths);
  if (!lock.ok()) return lock.status();
  Cluster cluster = ReadCluster(paths);
  const bool coordinator_ran = RunningPid(CoordinatorDaemon(paths)).has_value();
  const bool agent_ran = RunningPid(AgentDaemon(paths)).has_value();
  if (agent_ran && options.slots != 0 && options.slots != cluster.slots) {
    return absl::FailedPreconditionError(absl::StrCat("The agent runs already, with ", cluster.slots,
                                                      " slots. 'strata down' first, then 'strata up --slots ",
                                                      options.slots, "'."));
  }
  if (agent_ran && !options.detokenisers.empty() && options.detokenisers != cluster.detokenisers) {
    return absl::FailedPreconditionError(
        "The agent runs already, with other detokenisers. 'strata down' first, then 'strata up --detokeniser ...'.");
  }
  if ((coordinator_ran || agent_ran) && options.port != 0 && options.port != cluster.port) {
    return absl::FailedPreconditionError(absl::StrCat("The cluster runs already, at port ", cluster.port,
                                                      ". 'strata down' first, then 'strata up --port ", options.port,
                                                      "'."));
  }
  if (!coordinator_ran) {
    if (const absl::Status status = StartCoordinator(paths, options, cluster); !status.ok()) return status;
  }
  if (const absl::Status status = AwaitHealth(cluster, CoordinatorDaemon(paths), /*worker=*/false); !status.ok())
    return status;
  if (!agent_ran) {
    if (const absl::Status status = StartAgent(paths, options, cluster); !status.ok()) return status;
  }
  if (const absl::Status status = AwaitHealth(cluster, AgentDaemon(paths), /*worker=*/true); !status.ok())
    return status;
  Print(context, paths, cluster, coordinator_ran && agent_ran ? "Strata runs already." : "Strata is up.");
  return absl::OkStatus();
}

}  // namespace

void AddUp(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "up",
                 "Start a coordinator and an agent on this machine in the background, whichever does "
                 "not run yet. All they keep is "
                 "under STRATA_HOME.",
                 {"strata up", "strata up --slots 2", "strata up --detokeniser moses-de='sacremoses -l de detokenize'",
                  "STRATA_HOME=/tmp/trial strata up"});
  static UpOptions options;
  command->add_option("--slots", options.slots, "CPU slots; as before, or one a core")->check(CLI::Range(1, 1024));
  command->add_option("--port", options.port, "Port of the coordinator; as before, or 7070, or any free one")
      ->check(CLI::Range(1, 65535));
  command
      ->add_option("--detokeniser", options.detokenisers,
                   "What datasets name as their detokeniser, NAME=COMMAND (repeatable): reads decoded lines, writes as "
                   "many; as before, or none. Those given replace those of before")
      ->type_name("NAME=COMMAND")
      ->allow_extra_args(false);
  OnRun(command, context, [&context] { return Up(context, options); });
}

}  // namespace strata::client
