// strata-agent: the daemon of one worker. docs/AGENT.md.
#include <pthread.h>
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <regex>
#include <string>
#include <thread>

#include "cmake/build_info.h"
#include "server/base/http/exposure.h"
#include "server/base/rpc/credentials.h"
#include "worker/agent/agent.h"
#include "worker/agent/devices.h"
#include "worker/agent/gpus.h"
#include "worker/agent/grpc_coordinator.h"
#include "worker/agent/metrics.h"

namespace {

using namespace strata::agent;  // NOLINT: this is the program

struct Flags {
  std::string coordinator, address_file, state_dir, name, trainer, metrics = "none";
  std::string advertise = "127.0.0.1";
  std::vector<std::string> detokenisers;
  DeviceFlags devices;
  int64_t memory_per_slot = 0;
  Security security;
  bool insecure = false;
  bool health = false;
};

void Declare(CLI::App& app, Flags& flags) {
  auto* address = app.add_option("--coordinator", flags.coordinator, "Coordinator's address, HOST:PORT");
  auto* file = app.add_option("--address-file", flags.address_file,
                              "File that holds the coordinator's address; read again when the connection is lost");
  address->excludes(file);
  app.add_option("--state-dir", flags.state_dir, "Folder for what must survive the agent")->required();
  app.add_option("--name", flags.name, "Name of this worker: lower-case letters, digits, dots and hyphens");
  app.add_option("--device", flags.devices.device,
                 "gpu: a slot for each GPU; cpu: CPU slots; auto: GPUs where there are any and --slots is not given");
  app.add_option("--slots", flags.devices.slots,
                 "CPU slots to offer (default: one a core); with --device gpu, how many of the GPUs");
  app.add_option("--nvml-library", flags.devices.nvml_library, "NVIDIA's management library, which tells the GPUs");
  app.add_option(
         "--memory-per-slot", flags.memory_per_slot,
         "Memory that each trainer may hold, as 8GiB; one that holds more ends as out_of_memory (default: no limit)")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::NonNegativeNumber);
  app.add_option("--cores", flags.devices.cores,
                 "Cores to share out to the slots, as 0-3,8 (default: all that this process may use)");
  app.add_option("--trainer", flags.trainer, "Path of strata-trainer (default: beside this program)");
  app.add_option(
         "--detokeniser", flags.detokenisers,
         "What datasets name as their detokeniser, NAME=COMMAND (repeatable): reads decoded lines, writes as many")
      ->allow_extra_args(false);
  app.add_option("--advertise-address", flags.advertise,
                 "Address under which other machines reach this one's trainers");
  app.add_option("--metrics-listen", flags.metrics, "HOST:PORT for /metrics, or none");
  app.add_option("--tls-ca", flags.security.tls.ca, "Authority that the coordinator's certificate is checked with");
  app.add_option("--tls-cert", flags.security.tls.cert, "This worker's certificate; read again when it changes");
  app.add_option("--tls-key", flags.security.tls.key, "Its key");
  app.add_option("--token-file", flags.security.token_file, "File of this worker's token, in place of a certificate");
  app.add_flag("--insecure", flags.insecure, "Serve /metrics beyond this machine in the clear");
  app.add_flag("--health", flags.health,
               "Say by the exit status whether the agent of --state-dir is in touch with its coordinator, and end");
  app.set_version_flag("--version", std::string("strata-agent ") + strata::Version() + " (" + strata::Commit() + ")");
  app.footer(
      "SIGTERM: trainers write checkpoints and end, everything is acknowledged, the worker signs off.\n"
      "A second one: the agent ends at once and leaves its trainers to the next start.");
}

std::string WrongSecurity(const Flags& flags) {
  const strata::base::TlsFiles& tls = flags.security.tls;
  if (!flags.security.token_file.empty() && !tls.any()) {
    return "--token-file: the token would go to the coordinator in the clear. Give its authority's file as --tls-ca.";
  }
  if (tls.any()) {
    if (const absl::Status status = strata::base::CheckTlsFiles(tls, absl::Now()); !status.ok())
      return std::string(status.message());
  }
  if (!flags.security.token_file.empty()) {
    if (const auto token = strata::base::ReadTokenFile(flags.security.token_file); !token.ok())
      return std::string(token.status().message());
  }
  if (flags.metrics == "none") return "";
  return std::string(
      strata::base::CheckExposure("--metrics-listen", flags.metrics, tls.identity(), flags.insecure).message());
}

// What is wrong with the flags, as a sentence; empty: nothing.
std::string Wrong(const Flags& flags) {
  if (flags.coordinator.empty() == flags.address_file.empty()) {
    return "give the coordinator's address: --coordinator HOST:PORT or --address-file FILE.";
  }
  if (flags.name.empty())
    return "--name is missing: give this worker a name of lower-case letters, digits, dots and hyphens.";
  if (!std::regex_match(flags.name, std::regex("[a-z0-9][a-z0-9.-]*"))) {
    return "--name: \"" + flags.name + "\" is no name. Use lower-case letters, digits, dots and hyphens.";
  }
  if (flags.advertise.empty()) {
    return "--advertise-address: it is empty. Give this machine's address that the other workers reach.";
  }
  if (const std::string wrong = WrongSecurity(flags); !wrong.empty()) return wrong;
  for (const std::string& detokeniser : flags.detokenisers) {
    const size_t equals = detokeniser.find('=');
    if (equals != std::string::npos && equals > 0 && equals + 1 < detokeniser.size()) continue;
    return "--detokeniser: \"" + detokeniser + "\" is not NAME=COMMAND, e.g. moses-de=\"sacremoses -l de detokenize\".";
  }
  return "";
}

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "strata-agent: %s\n", message.c_str());
  return code;
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
  ::setenv("GRPC_VERBOSITY", "NONE", 0);  // what goes wrong is said by us, once
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
  if (flags.health) {
    const absl::Status status = StateDir::CheckSession(flags.state_dir, absl::Now());
    return status.ok() ? 0 : Fail(1, std::string(status.message()));
  }
  if (const std::string wrong = Wrong(flags); !wrong.empty()) return Fail(2, wrong);
  auto devices = ChooseDevices(flags.devices, std::getenv("CUDA_VISIBLE_DEVICES"));
  if (!devices.ok()) return Fail(2, std::string(devices.status().message()));
  const std::vector<Slot> slots = devices->slots;
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
    auto served = ServeMetrics(flags.metrics, stats, state->path(), flags.security.tls);
    if (!served.ok()) return Fail(1, std::string(served.status().message()));
    metrics = *std::move(served);
    metrics_address = MetricsAddress(flags, metrics->port());
  }
  std::unique_ptr<GpuWatch> watch;  // made before the agent runs; never changed after
  GrpcCoordinator coordinator(
      flags.coordinator, flags.address_file,
      {flags.name, state->worker_uid(), slots, std::string(strata::Version()) + "+" + strata::Commit(), HostName(),
       flags.advertise, metrics_address, [&watch](const Slot& slot) { return !watch || watch->Usable(slot.uuid); }},
      flags.security);
  auto* agent = new Agent(
      {.slots = slots,
       .trainer = {.program = flags.trainer, .advertise = flags.advertise, .detokenisers = flags.detokenisers},
       .memory_per_slot = flags.memory_per_slot,
       .gpu_trouble = [&watch](const std::string& uuid,
                               absl::Time since) { return watch ? watch->TroubleSince(uuid, since) : ""; }},
      coordinator, *state, stats);
  if (!devices->gpus.empty()) {
    watch = std::make_unique<GpuWatch>(std::move(devices->nvml), devices->gpus, GpuWatch::Options{},
                                       [agent] { agent->RegisterAgain(); });
    if (metrics) metrics->ShowGpus(flags.name, [&watch] { return watch->View(); });
  }
  WatchSignals(signals, agent);
  spdlog::info("worker {} with {} {} slots", flags.name, slots.size(), devices->gpus.empty() ? "CPU" : "GPU");
  const absl::Status status = agent->Run();
  if (!status.ok()) std::fprintf(stderr, "strata-agent: %s\n", std::string(status.message()).c_str());
  ::_exit(status.ok() ? 0 : 1);  // no destructor waits for a thread that is inside a call
}
