#include <chrono>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"

namespace strata::client {
namespace {

constexpr std::chrono::milliseconds kPoll{500};

absl::Status Wait(const Context& context, const std::string& text, double timeout) {
  const auto name = ParseNameOf(NameKind::kExperiment, text);
  if (!name.ok()) return name.status();
  const Connection connection = context.Connect();
  const auto begin = std::chrono::steady_clock::now();
  v1::GetExperimentRequest request;
  request.set_name(*name);
  for (;;) {
    const auto experiment = connection.CallPatiently(&v1::ExperimentService::Stub::GetExperiment,
                                                     connection.experiments(), request, std::chrono::seconds(120));
    if (!experiment.ok()) return experiment.status();
    if (experiment->done()) {
      if (context.json()) {
        PrintJson(*experiment);
      } else {
        std::printf("%s is done: %s.\n", ShortName(*name).c_str(), StateCounts(*experiment).c_str());
      }
      return Verdict(*experiment);
    }
    if (timeout > 0 && std::chrono::steady_clock::now() - begin > std::chrono::duration<double>(timeout)) {
      return absl::AbortedError(absl::StrCat(ShortName(*name), " is not done after ", timeout,
                                             " s: ", StateCounts(*experiment),
                                             ". It goes on; wait again, or longer with --timeout."));
    }
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace

absl::Status Verdict(const v1::Experiment& experiment) {
  if (AllResults(experiment)) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("Not every trial has a result: ", StateCounts(experiment),
                                         ". 'strata describe ", ShortName(experiment.name()),
                                         "' says why, 'strata retry TRIAL' tries again."));
}

void AddWait(CLI::App& app, Context& context) {
  CLI::App* command =
      AddCommand(app, context, "wait",
                 "Wait until an experiment is done. Status 0 when all trials are SUCCEEDED or DIVERGED, 1 otherwise.",
                 {"strata wait quickstart-1 && strata report quickstart-1"});
  static std::string name;
  static double timeout = 0;
  command->add_option("EXPERIMENT", name, "Experiment")->required();
  command->add_option("--timeout", timeout, "Seconds to wait at most; 0: as long as it takes")
      ->check(CLI::NonNegativeNumber);
  OnRun(command, context, [&context] { return Wait(context, name, timeout); });
}

}  // namespace strata::client
