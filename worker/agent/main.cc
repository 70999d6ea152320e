// strata-agent: the daemon of one worker. docs/AGENT.md.
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <regex>
#include <string>
#include <thread>

#include "cmake/build_info.h"
#include "worker/agent/agent.h"
#include "worker/agent/grpc_coordinator.h"
#include "worker/agent/metrics.h"

namespace {

using namespace strata::agent;  // NOLINT: this is the program

struct Flags {
  std::string coordinator, address_file, state_dir, name, cores, trainer, metrics = "none";
  std::string advertise = "127.0.0.1";
  std::vector<std::string> detokenisers;
  int slots = 0;
};

void Declare(CLI::App& app, Flags& flags) {
  auto* address = app.add_option("--coordinator", flags.coordinator, "Coordinator's address, HOST:PORT");
  auto* file = app.add_option("--address-file", flags.address_file,
                              "File that holds the coordinator's address; read again when the connection is lost");
  address->excludes(file);
  app.add_option("--state-dir", flags.state_dir, "Folder for what must survive the agent")->required();
  app.add_option("--name", flags.name, "Name of this worker: lower-case letters, digits, dots and hyphens")->required();
  app.add_option("--slots", flags.slots, "CPU slots to offer (default: one a core)");
  app.add_option("--cores", flags.cores,
                 "Cores to share out to the slots, as 0-3,8 (default: all that this process may use)");
  app.add_option("--trainer", flags.trainer, "Path of strata-trainer (default: beside this program)");
  app.add_option(
         "--detokeniser", flags.detokenisers,
         "What datasets name as their detokeniser, NAME=COMMAND (repeatable): reads decoded lines, writes as many")
      ->allow_extra_args(false);
  app.add_option("--advertise-address", flags.advertise,
                 "Address under which other machines reach this one's trainers");
  app.add_option("--metrics-listen", flags.metrics, "HOST:PORT for /metrics, or none");
  app.set_version_flag("--version", std::string("strata-agent ") + strata::Version() + " (" + strata::Commit() + ")");
  app.footer(
      "SIGTERM: trainers write checkpoints and end, everything is acknowledged, the worker signs off.\n"
      "A second one: the agent ends at once and leaves its trainers to the next start.");
}

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "strata-agent: %s\n", message.c_str());
  return code;
}

// The slots that the flags ask for; a sentence in `error` if they cannot be had.
std::vector<Slot> MakeSlots(const Flags& flags, std::string* error) {
  std::vector<int> cores = AllowedCores();
  if (!flags.cores.empty()) {
    const auto asked = ParseCores(flags.cores);
    if (!asked.ok()) {
      *error = std::string(asked.status().message());
      return {};
    }
    std::vector<int> both;
    std::set_intersection(asked->begin(), asked->end(), cores.begin(), cores.end(), std::back_inserter(both));
    if (both.size() != asked->size()) {
      *error = "--cores: " + flags.cores + " is more than this process may use (" + FormatCores(cores) + ").";
      return {};
    }
    cores = both;
  }
  const int count = flags.slots == 0 ? static_cast<int>(cores.size()) : flags.slots;
  if (count < 1 || count > 1024) {
    *error = "--slots: " + std::to_string(count) + " is not between 1 and 1024.";
    return {};
  }
  if (count > static_cast<int>(cores.size())) {
    spdlog::warn("{} slots share {} cores: trainers will slow each other down", count, cores.size());
  }
  return ShareOut(cores, count);
}

std::string HostName() {
  char name[256] = {};
  ::gethostname(name, sizeof name - 1);
  return name;
}

// host:port at which Prometheus reaches a server on `listen` (HOST:PORT) with this port. One that listens everywhere is
// reached where the worker is.
std::string MetricsAddress(const Flags& flags, int port) {
  std::string host = flags.metrics.substr(0, flags.metrics.rfind(':'));
  if (host == flags.metrics || host.empty() || host == "0.0.0.0" || host == "[::]") host = flags.advertise;
  return host + ":" + std::to_string(port);
}

// SIGTERM and SIGINT, taken by a thread of their own: the first asks the agent to leave, the second ends it.
void WatchSignals(sigset_t signals, Agent* agent) {
  std::thread([signals, agent] {
    int signal = 0;
    for (int count = 0; ::sigwait(&signals, &signal) == 0; ++count) {
      if (count > 0) {
        spdlog::warn("ending at once; trainers are left to the next start");
        ::_exit(1);
      }
      spdlog::info("leaving: trainers are asked to write checkpoints and end");
      agent->Leave();
    }
  }).detach();
}

}  // namespace

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("agent"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e %l %v");
  spdlog::flush_on(spdlog::level::info);
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  CLI::App app{"The daemon of one worker: runs trainers for the coordinator."};
  Flags flags;
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (flags.coordinator.empty() == flags.address_file.empty()) {
    return Fail(2, "give the coordinator's address: --coordinator HOST:PORT or --address-file FILE.");
  }
  if (!std::regex_match(flags.name, std::regex("[a-z0-9][a-z0-9.-]*"))) {
    return Fail(2, "--name: \"" + flags.name + "\" is no name. Use lower-case letters, digits, dots and hyphens.");
  }
  if (flags.advertise.empty()) {
    return Fail(2, "--advertise-address: it is empty. Give this machine's address that the other workers reach.");
  }
  for (const std::string& detokeniser : flags.detokenisers) {
    const size_t equals = detokeniser.find('=');
    if (equals != std::string::npos && equals > 0 && equals + 1 < detokeniser.size()) continue;
    return Fail(2, "--detokeniser: \"" + detokeniser +
                       "\" is not NAME=COMMAND, e.g. moses-de=\"sacremoses -l de detokenize\".");
  }
  std::string error;
  const std::vector<Slot> slots = MakeSlots(flags, &error);
  if (!error.empty()) return Fail(2, error);
  if (flags.trainer.empty()) {
    flags.trainer = (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "strata-trainer").string();
  }
  flags.trainer = std::filesystem::absolute(flags.trainer).string();

  auto state = StateDir::Open(flags.state_dir);
  if (!state.ok()) return Fail(1, std::string(state.status().message()));
  Stats stats;
  std::unique_ptr<MetricsServer> metrics;
  std::string metrics_address;
  if (flags.metrics != "none") {
    auto served = ServeMetrics(flags.metrics, stats);
    if (!served.ok()) return Fail(1, std::string(served.status().message()));
    metrics = *std::move(served);
    metrics_address = MetricsAddress(flags, metrics->port());
  }
  std::unique_ptr<GpuWatch> watch;  // made before the agent runs; never changed after
  GrpcCoordinator coordinator(
      flags.coordinator, flags.address_file,
      {flags.name, state->worker_uid(), slots, std::string(strata::Version()) + "+" + strata::Commit(), HostName(),
       flags.advertise, metrics_address, [&watch](const Slot& slot) { return !watch || watch->Usable(slot.uuid); }});
  auto* agent = new Agent(
      {.slots = slots,
       .trainer = {.program = flags.trainer, .advertise = flags.advertise, .detokenisers = flags.detokenisers}},
      coordinator, *state, stats);
  WatchSignals(signals, agent);
  spdlog::info("worker {} with {} slots", flags.name, slots.size());
  const absl::Status status = agent->Run();
  if (!status.ok()) std::fprintf(stderr, "strata-agent: %s\n", std::string(status.message()).c_str());
  ::_exit(status.ok() ? 0 : 1);  // no destructor waits for a thread that is inside a call
}
