// strata workers cordon | uncordon | drain
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"

namespace strata::client {
namespace {

using Worker = absl::StatusOr<v1::Worker>;

template <typename Request, typename Method>
Worker Call(const Connection& connection, const std::string& text, Method method) {
  Request request;
  request.set_name(absl::StartsWith(text, "workers/") ? text : absl::StrCat("workers/", text));
  return connection.CallPatiently(method, connection.workers(), request);
}

std::string Standing(const v1::Worker& worker) {
  return absl::StrCat(ShortName(worker.name()), " is ", WorkerStateName(worker.state()),
                      worker.draining()   ? ", being drained"
                      : worker.cordoned() ? ", cordoned"
                                          : "");
}

absl::Status Show(const Context& context, const Worker& worker) {
  if (!worker.ok()) return worker.status();
  if (context.json()) {
    PrintJson(*worker);
  } else {
    std::printf("%s.\n", Standing(*worker).c_str());
  }
  return absl::OkStatus();
}

int Busy(const v1::Worker& worker) {
  int busy = 0;
  for (const v1::Slot& slot : worker.slots()) busy += slot.holder().empty() ? 0 : 1;
  return busy;
}

// Asks until the worker has left. One that is lost holds nothing any more.
absl::Status AwaitGone(const Context& context, const Connection& connection, v1::Worker worker) {
  int told = -1;
  while (worker.state() == v1::WORKER_STATE_READY) {
    if (!worker.draining()) {
      return absl::AbortedError(absl::StrCat("The drain of ", ShortName(worker.name()), " was taken back."));
    }
    if (Busy(worker) != told && !context.json()) {
      told = Busy(worker);
      std::fprintf(stderr, "%s: %d slot%s still in use.\n", Standing(worker).c_str(), told, told == 1 ? "" : "s");
    }
    usleep(300'000);
    auto next = Call<v1::GetWorkerRequest>(connection, worker.name(), &v1::WorkerService::Stub::GetWorker);
    if (!next.ok()) return next.status();
    worker = *std::move(next);
  }
  return Show(context, worker);
}

absl::Status Drain(const Context& context, const std::string& name, bool wait) {
  const Connection connection = context.Connect();
  const auto worker = Call<v1::DrainWorkerRequest>(connection, name, &v1::WorkerService::Stub::DrainWorker);
  if (!worker.ok() || !wait) return Show(context, worker);
  return AwaitGone(context, connection, *worker);
}

}  // namespace

void AddWorkerCommands(CLI::App& workers, Context& context) {
  static std::string name;
  static bool no_wait = false;
  const auto add = [&](const std::string& verb, const std::string& what, const std::string& example) {
    CLI::App* command = AddCommand(workers, context, verb, what, {example});
    command->add_option("NAME", name, "Worker, as 'strata workers' lists it")->required();
    return command;
  };
  OnRun(add("cordon", "Let no further attempt begin on a worker; what runs there goes on.", "strata workers cordon w1"),
        context, [&context] {
          return Show(context,
                      Call<v1::CordonWorkerRequest>(context.Connect(), name, &v1::WorkerService::Stub::CordonWorker));
        });
  OnRun(add("uncordon", "Let a worker take attempts again.", "strata workers uncordon w1"), context, [&context] {
    return Show(context,
                Call<v1::UncordonWorkerRequest>(context.Connect(), name, &v1::WorkerService::Stub::UncordonWorker));
  });
  CLI::App* drain =
      add("drain",
          "Move what runs on a worker elsewhere, with checkpoints and at no cost to its jobs; then its agent "
          "ends. Waits until it is gone. It stays cordoned if it comes back.",
          "strata workers drain w1");
  drain->add_flag("--no-wait", no_wait, "Ask for it and return");
  OnRun(drain, context, [&context] { return Drain(context, name, !no_wait); });
}

}  // namespace strata::client
