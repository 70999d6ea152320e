// strata-coordinator: schedules trials onto workers and keeps what comes out of them.
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <optional>

#include "cmake/build_info.h"
#include "server/base/file.h"
#include "server/base/spec/registry.h"
#include "server/service/first_token.h"
#include "server/service/health.h"
#include "server/service/retention.h"
#include "server/service/server.h"

namespace {

int Fail(const absl::Status& status) {
  std::cerr << "strata-coordinator: " << status.message() << "\n";
  return 1;
}

// The exit status where the command line asked for help or is wrong.
std::optional<int> Parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return std::nullopt;
}

// Blocked in every thread, and taken by sigwait in main. A peer that goes away is an error of a call, not a signal.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

struct CommandLine {
  strata::service::ServerOptions options;
  std::string address_file, retention, collect_every = "1d";
  double lease_seconds = 6;
  bool create_admin_token = false, health = false;
};

void Declare(CLI::App& app, CommandLine& line) {
  app.add_option("--data-dir", line.options.data_dir,
                 "Folder of the database, artifacts, datasets and logs; made if missing")
      ->required();
  app.add_option("--listen", line.options.listen, "host:port for gRPC; port 0 takes any")->capture_default_str();
  app.add_option("--metrics-listen", line.options.metrics_listen, "host:port for /metrics, or none")
      ->capture_default_str();
  app.add_option("--address-file", line.address_file, "Write host:port of gRPC here once it serves");
  app.add_option("--lease-seconds", line.lease_seconds, "How long a worker may stay silent")
      ->check(CLI::Range(0.5, 3600.0))
      ->capture_default_str();
  app.add_option("--tls-cert", line.options.tls.cert, "This coordinator's certificate; read again when it changes");
  app.add_option("--tls-key", line.options.tls.key, "Its key");
  app.add_option("--tls-ca", line.options.tls.ca,
                 "The authority that workers' and people's certificates are checked with");
  app.add_option("--admin-token-file", line.options.admin_token_file,
                 "With TLS: the first admin's token; made here if missing (default: DATA-DIR/admin-token)");
  app.add_flag(
      "--create-admin-token", line.create_admin_token,
      "Make the token \"root\" of role admin anew, print its secret, and end; no coordinator may run on the folder");
  app.add_flag("--insecure", line.options.insecure,
               "Listen beyond this machine though nothing is encrypted or checked");
  app.add_option("--retention", line.retention,
                 "What may go by its age, as in resumable=30d,epochs=30d,logs=90d,vectors=180d,datasets=never; what is "
                 "not named never goes");
  app.add_option("--collect-every", line.collect_every,
                 "How often what nobody needs, and what has reached its age, goes by itself: 1d, 12h, 600s or never")
      ->capture_default_str();
  app.add_flag("--health", line.health, "Say by the exit status whether a coordinator serves on the folder, and end");
  app.set_version_flag("--version", std::string(strata::Version()) + " (" + strata::Commit() + ")");
}

// What the command line says in words of its own, in the options.
absl::Status Understand(CommandLine& line) {
  const auto ages = strata::service::ParseRetention(line.retention);
  if (!ages.ok()) return ages.status();
  line.options.retention = *ages;
  const auto every = strata::service::ParseAge(line.collect_every);
  if (!every.ok() || *every <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError("--collect-every: \"" + line.collect_every +
                                      "\" is no time between collections. Write it as 1d, 12h, 600s or never.");
  }
  line.options.collect_every = *every;
  line.options.controller.lease_duration = absl::Seconds(line.lease_seconds);
  line.options.version = std::string(strata::Version()) + "+" + strata::Commit();
  line.options.registry_json = strata::base::BuiltInRegistry();
  return absl::OkStatus();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Schedules Strata's trials onto workers and keeps what comes out of them.", "strata-coordinator");
  CommandLine line;
  const strata::service::ServerOptions& options = line.options;
  Declare(app, line);
  if (const std::optional<int> status = Parse(app, argc, argv); status.has_value()) return *status;

  // What goes wrong is said by us, once; gRPC's own log stays off unless asked for.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  spdlog::set_default_logger(
      std::make_shared<spdlog::logger>("coordinator", std::make_shared<spdlog::sinks::stderr_sink_mt>()));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");

  const sigset_t signals = BlockSignals();

  if (line.health) {
    const absl::Status status = strata::service::CheckServing(options.data_dir);
    return status.ok() ? 0 : Fail(status);
  }
  if (line.create_admin_token) {
    const auto secret = strata::service::CreateAdminToken(options.data_dir);
    if (!secret.ok()) return Fail(secret.status());
    std::cout << *secret << "\n";
    return 0;
  }
  if (const absl::Status status = Understand(line); !status.ok()) return Fail(status);
  auto server = strata::service::Server::Start(options);
  if (!server.ok()) return Fail(server.status());
  if (!line.address_file.empty()) {
    const absl::Status status = strata::base::WriteFileAtomically(line.address_file, (*server)->address() + "\n");
    if (!status.ok()) return Fail(status);
  }
  if (const absl::Status noted = strata::service::NoteServing(options.data_dir, (*server)->address(), options.tls);
      !noted.ok()) {
    spdlog::warn("--health will not find this coordinator: {}", std::string(noted.message()));
  }
  spdlog::info("serving on {} ({}) metrics={} data={} version={}", (*server)->address(),
               options.tls.any() ? "TLS" : "in the clear",
               (*server)->metrics_address().empty() ? "none" : (*server)->metrics_address(), options.data_dir,
               strata::Version());
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  spdlog::info("shutting down on signal {}", signal_number);
  (*server)->Shutdown();
  return 0;
}
