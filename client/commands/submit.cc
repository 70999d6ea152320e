#include <unistd.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/names.h"
#include "client/spec/read_spec.h"
#include "server/base/ids.h"
#include "server/base/spec/registry.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

struct SubmitOptions {
  std::string file;
  std::string extend;
  std::vector<std::string> sets;
  std::optional<int32_t> priority;
  bool probe = false;
  bool force = false;
  bool dry_run = false;
  bool watch = false;
};

void PrintEstimate(const v1::Estimate& estimate) {
  std::string text = absl::StrCat(FormatCount(estimate.trials()), estimate.trials() == 1 ? " trial" : " trials");
  if (estimate.trials_reused() > 0) {
    absl::StrAppend(&text, " (", estimate.trials_reused(), " done already, not trained again; --force trains anew)");
  }
  absl::StrAppend(&text, ", ", FormatCount(estimate.updates()), " updates, about ", FormatBytes(estimate.disk_bytes()),
                  " of disk");
  if (estimate.slot_seconds() > 0)
    absl::StrAppend(&text, " and ", FormatDuration(estimate.slot_seconds()), " of one slot's time");
  std::fprintf(stderr, "%s.\n", text.c_str());
  if (!estimate.basis().empty()) std::fprintf(stderr, "  %s\n", estimate.basis().c_str());
}

void PrintNotes(const v1::ExperimentSpec& spec) {
  v1::TrialSpec filled = spec.base();
  base::ApplyDefaults(filled).IgnoreError();  // what is missing may be an axis
  const v1::TrainSpec& train = filled.train();
  if (train.has_updates() && train.updates() < train.warmup()) {
    std::fprintf(stderr, "Note: train.warmup is %d but train.updates is %d: training ends inside the warm-up.\n",
                 train.warmup(), train.updates());
  }
}

// The file's grid, or that of the experiment that is extended, with the changes of the command line.
absl::StatusOr<v1::ExperimentSpec> SpecOf(const Connection& connection, const SubmitOptions& options) {
  std::string extends;
  if (!options.extend.empty()) {
    auto name = ParseNameOf(NameKind::kExperiment, options.extend);
    if (!name.ok()) return name.status();
    extends = *std::move(name);
  }
  absl::StatusOr<v1::ExperimentSpec> spec;
  if (!options.file.empty()) {
    spec = ReadSpecFile(options.file, options.sets, base::BuiltInRegistry());
  } else if (!extends.empty()) {
    v1::GetExperimentRequest request;
    request.set_name(extends);
    const auto experiment =
        connection.Call(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request);
    if (!experiment.ok()) return experiment.status();
    spec = ChangeSpec(experiment->spec(), options.sets, base::BuiltInRegistry());
  } else {
    return absl::InvalidArgumentError(
        "There is nothing to submit. Name a spec in YAML ('strata spec init' prints one), or an experiment by "
        "--extend.");
  }
  if (!spec.ok()) return spec.status();
  if (!extends.empty()) spec->set_extends(extends);
  if (options.probe) spec->set_probe_only(true);
  if (options.priority.has_value()) spec->set_priority(*options.priority);
  return spec;
}

absl::Status Submit(const Context& context, const SubmitOptions& options) {
  const Connection connection = context.Connect();
  const auto spec = SpecOf(connection, options);
  if (!spec.ok()) return spec.status();
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = *spec;
  request.set_force(options.force);
  request.set_validate_only(true);
  const auto create = &v1::ExperimentService::Stub::CreateExperiment;
  auto response = connection.Call(create, connection.experiments(), request);
  if (!response.ok()) {
    if (!absl::IsInvalidArgument(response.status())) return response.status();
    return absl::InvalidArgumentError(absl::StrCat(options.file.empty() ? "--extend " + options.extend : options.file,
                                                   ": ", std::string(response.status().message())));
  }
  if (!spec->probe_only()) PrintNotes(*spec);
  PrintEstimate(response->estimate());
  if (!options.dry_run) {
    request.set_validate_only(false);
    request.set_request_id(base::RandomHex());
    response = connection.CallPatiently(create, connection.experiments(), request);
    if (!response.ok()) return response.status();
  }
  const std::string name = ShortName(response->experiment().name());
  if (context.json()) {
    PrintJson(*response);
    std::puts("");
  } else if (options.dry_run) {
    std::puts("Nothing was submitted (--dry-run).");
  } else {
    std::puts(name.c_str());
  }
  std::fflush(stdout);
  if (options.dry_run || !options.watch) return absl::OkStatus();
  if (const absl::Status status = Watch(connection, response->experiment().name(), isatty(STDOUT_FILENO) != 0);
      !status.ok())
    return status;
  v1::GetExperimentRequest get;
  get.set_name(response->experiment().name());
  const auto experiment =
      connection.CallPatiently(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), get);
  return experiment.ok() ? Verdict(*experiment) : experiment.status();
}

}  // namespace

void AddSubmit(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(
      app, context, "submit",
      "Submit a grid. Says first what it will take (on standard error), then prints the experiment's name.",
      {"strata submit grid.yaml", "strata submit grid.yaml --set train.updates=20 --set depth=18L-18L --watch",
       "strata submit grid.yaml --set 'scheme=[post_ln, b2t]' --dry-run", "strata submit grid.yaml --probe --watch",
       "strata submit --extend depth-1 --set train.updates=2000 --set 'seed=[1, 2, 3]'"});
  static SubmitOptions options;
  command->add_option("FILE", options.file, "Spec in YAML; - for standard input. Needed unless --extend is given");
  command
      ->add_option(
          "--extend", options.extend,
          "Experiment to go on from; without FILE its grid is taken, with the changes of --set. Trials with more "
          "updates than there start from its last checkpoints")
      ->type_name("EXPERIMENT");
  command->add_flag("--probe", options.probe, "Train nothing: measure each trial at initialisation, in seconds");
  command->add_option("--set", options.sets, "PATH=VALUE for all trials; a list makes or replaces an axis")
      ->allow_extra_args(false);
  command->add_option("--priority", options.priority, "Jobs of a higher priority come first; instead of the spec's")
      ->check(CLI::Range(-100, 100));
  command->add_flag("--force", options.force, "Train also what has been trained already");
  command->add_flag("--dry-run", options.dry_run, "Check and estimate only");
  command->add_flag("--watch", options.watch, "Follow it; the exit status is that of 'strata wait'");
  OnRun(command, context, [&context] { return Submit(context, options); });
}

}  // namespace strata::client
