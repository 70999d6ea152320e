// strata: the command line. One file a subcommand; see command.h.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "client/commands/command.h"
#include "cmake/build_info.h"
#include "server/base/spec/spec.h"

namespace {

// A sentence about the first word that names no subcommand; "" if all words do.
std::string UnknownCommand(const CLI::App* app, int argc, char** argv) {
  std::string path = "strata";
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<std::string> names;
    const CLI::App* next = nullptr;
    for (const CLI::App* sub : app->get_subcommands([](const CLI::App*) { return true; })) {
      names.push_back(sub->get_name());
      if (sub->get_name() == argv[i]) next = sub;
    }
    if (names.empty()) return "";  // arguments follow
    if (next == nullptr) {
      const std::string nearest = strata::base::Nearest(argv[i], names);
      return "'" + path + "' has no command \"" + argv[i] + "\". " +
             (nearest.empty() ? "'" + path + " --help' lists them." : "Do you mean " + nearest + "?");
    }
    app = next;
    path += std::string(" ") + argv[i];
  }
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  using namespace strata::client;  // NOLINT: the whole program is of it
  std::signal(SIGPIPE, SIG_IGN);
  setenv("GRPC_VERBOSITY", "NONE", 0);  // what goes wrong is said by us, once
  Context context;
  CLI::App app("Trains and evaluates deep Transformers as a service.");
  app.name("strata");
  app.set_version_flag("--version", std::string("strata ") + strata::Version() + " (" + strata::Commit() + ")");
  app.add_option("--address", context.address, "Coordinator, HOST:PORT");
  app.add_option("--output", context.output, "Form of the answer: table or json");
  AddSecurityOptions(app, context);
  app.require_subcommand(1);
  app.footer(
      "\nBegin with 'strata up' and 'strata spec init'. 'strata COMMAND --help' shows examples.\n"
      "Names: an experiment is quickstart-1, a trial quickstart-1/t3, a job quickstart-1/t3/train.\n"
      "Environment: STRATA_ADDRESS (coordinator), STRATA_HOME (embedded cluster), STRATA_TLS_CA, STRATA_TOKEN (docs/SECURITY.md).\n"
      "Exit status: 0 ok, 1 failed, 2 wrong usage or bad input, 3 no coordinator, 130 interrupted.");
  for (const auto add : {AddUp, AddDown, AddSubmit, AddPlan, AddProbe, AddList, AddDescribe, AddTop, AddWatch, AddLogs, AddCancel, AddHold, AddRelease, AddRetry,
                         AddWait, AddMetrics, AddReport, AddCheckpoints, AddWorkers, AddData, AddDelete, AddUsage, AddGarbage, AddAdmin, AddGenerate, AddScore, AddSpec, AddCompletion}) {
    add(app, context);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (const std::string unknown = UnknownCommand(&app, argc, argv); error.get_exit_code() != 0 && !unknown.empty()) {
      std::fprintf(stderr, "%s\n", unknown.c_str());
      return 2;
    }
    return app.exit(error) == 0 ? 0 : 2;
  }
  const absl::Status status = context.run();
  std::fflush(stdout);
  if (!status.ok() && !status.message().empty()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return ExitCode(status);
}
