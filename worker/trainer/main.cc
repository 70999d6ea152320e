// strata-trainer: one rank of one job. docs/TRAINER.md is its contract.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>

#include "model/layers/memory.h"
#include "model/tasks/describe.h"
#include "worker/trainer/evaluate.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/filter_banks.h"
#include "worker/trainer/generate.h"
#include "worker/trainer/job.h"
#include "worker/trainer/judge.h"
#include "worker/trainer/plan.h"
#include "worker/trainer/probe.h"
#include "worker/trainer/ranks.h"
#include "worker/trainer/training.h"

namespace strata::trainer {
namespace {

struct Arguments {
  std::string spec, job, dataset, out, spool, control, address, collectives;
  std::vector<std::string> checkpoints, detokenisers;
  std::string plan, print_spec, judge;
  bool describe = false, filter_banks = false, resume = false, group_of_one = false;
  int64_t attempt = 1, rank = 0, world_size = 1, threads = 0, evaluation = -1, vocabulary = 0;
  int64_t meeting_seconds = 60, arrival_seconds = 540;
};

void Declare(CLI::App& app, Arguments& a) {
  app.add_option("--spec", a.spec, "TrialSpec as proto3 JSON")->type_name("FILE");
  app.add_option("--job", a.job, "What to do")->check(CLI::IsMember({"train", "evaluate", "probe", "generate"}));
  app.add_option("--dataset", a.dataset, "Folder of the prepared dataset")->type_name("DIR");
  app.add_option("--out", a.out, "Folder for checkpoints and artifacts")->type_name("DIR");
  app.add_option("--spool", a.spool, "File that events are appended to (default: standard output)")->type_name("FILE");
  app.add_option("--control", a.control, "Unix socket to listen on: checkpoint, stop, rendezvous HOST PORT")
      ->type_name("SOCKET");
  app.add_option("--attempt", a.attempt, "Number of the attempt, stamped on each event")->check(CLI::PositiveNumber);
  app.add_option("--rank", a.rank, "Rank, from 0")->check(CLI::NonNegativeNumber);
  app.add_option("--world-size", a.world_size, "Number of ranks")->check(CLI::PositiveNumber);
  app.add_option("--advertise-address", a.address,
                 "Of several ranks: this machine's address that the others reach; nothing listens on another")
      ->type_name("HOST");
  app.add_option("--rendezvous-seconds", a.meeting_seconds, "Of several ranks: how long they try to reach rank 0 (60)")
      ->check(CLI::Range(1, 86400));
  app.add_option("--arrival-seconds", a.arrival_seconds, "Of several ranks: how long they wait till all have started (540)")
      ->check(CLI::Range(1, 86400));
  app.add_flag("--group-of-one", a.group_of_one,
               "One rank, too, makes a process group and calls its collectives (to try NCCL on one GPU)");
  app.add_option("--collectives", a.collectives,
                 "File that holds number and name of the last collective: 8 bytes little-endian, 120 bytes of text")
      ->type_name("FILE");
  app.add_flag("--resume", a.resume, "Go on from the newest intact checkpoint in --out, if there is one");
  app.add_option("--threads", a.threads, "Intra-op threads (default: the spec's resources.threads)")
      ->check(CLI::Range(1, 256));
  app.add_option("--evaluation", a.evaluation, "Which of the spec's evaluations, from 0")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--checkpoint", a.checkpoints, "Weights to evaluate; of several files (repeatable) the mean")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--detokeniser", a.detokenisers,
                 "What the dataset's detokeniser names: a command that reads decoded lines and writes as many (repeatable)")
      ->type_name("NAME=COMMAND")
      ->allow_extra_args(false);
  app.add_option("--plan", a.plan, "Print parameters, FLOPs and memory of a spec, as JSON")->type_name("FILE");
  app.add_option("--vocabulary", a.vocabulary, "With --plan: pieces of the vocabulary, where no --dataset says it")
      ->check(CLI::Range(5, 10'000'000));
  app.add_option("--print-spec", a.print_spec, "Print what is understood of a spec: path=value, one a line")
      ->type_name("FILE");
  app.add_option("--judge", a.judge, "Print the verdict of the rule of divergence on a recorded curve")
      ->type_name("FILE");
  app.add_flag("--describe", a.describe, "Print schemes, tasks, metrics and options as JSON");
  app.add_flag("--filter-banks", a.filter_banks,
               "Turn sounds on standard input into filter banks on standard output (for strata-data)");
}

TrialSpec ReadCheckedSpec(const std::string& file) {
  TrialSpec spec = ReadSpec(file);
  ToModelConfig(spec, /*vocabulary=*/8);
  return spec;
}

nlohmann::ordered_json PlanOf(const Arguments& a) {
  const TrialSpec spec = ReadCheckedSpec(a.plan);
  if (!a.dataset.empty()) {
    const model::Manifest manifest = model::ReadManifest(a.dataset);
    return Plan(spec, manifest.vocabulary_size, &manifest);
  }
  if (a.vocabulary == 0)
    throw Failure(Cause::kBadSpec, "--plan needs the size of the vocabulary. Give --dataset DIR or --vocabulary N.");
  return Plan(spec, a.vocabulary);
}

// What only prints. False where nothing of the kind was asked for.
bool Print(const Arguments& a) {
  if (a.describe) {
    std::cout << model::Describe().dump(1) << "\n";
  } else if (!a.judge.empty()) {
    std::cout << JudgeCurve(a.judge).dump() << "\n";
  } else if (!a.print_spec.empty()) {
    for (const std::string& line : SpecLines(ReadCheckedSpec(a.print_spec))) std::cout << line << "\n";
  } else if (!a.plan.empty()) {
    std::cout << PlanOf(a).dump(1) << "\n";
  } else if (a.filter_banks) {
    ServeFilterBanks(STDIN_FILENO, STDOUT_FILENO);
  } else {
    return false;
  }
  return true;
}

void CheckUsage(const Arguments& a) {
  const auto need = [&](bool given, const std::string& option) {
    if (!given)
      throw Failure(Cause::kBadSpec,
                    option + " is missing" + (a.job.empty() ? "" : " for --job " + a.job) + ". See --help.");
  };
  need(!a.spec.empty(), "--spec FILE");
  need(!a.job.empty(), "--job train, evaluate, probe or generate");
  need(!a.dataset.empty(), "--dataset DIR");
  need(!a.out.empty(), "--out DIR");
  if (a.job == "evaluate") {
    need(a.evaluation >= 0, "--evaluation K");
  }
  // The other ranks get their weights from rank 0.
  if ((a.job == "evaluate" || a.job == "generate") && a.rank == 0) need(!a.checkpoints.empty(), "--checkpoint FILE");
  if (a.rank >= a.world_size) {
    throw Failure(Cause::kBadSpec, "--rank is " + std::to_string(a.rank) + ", but --world-size is " +
                                       std::to_string(a.world_size) + ". Ranks count from 0.");
  }
  if (a.group_of_one && a.world_size > 1) {
    throw Failure(Cause::kBadSpec, "--group-of-one is for one rank, but --world-size is " + std::to_string(a.world_size) +
                                       ". Leave one of them out.");
  }
  if (a.group_of_one) return need(!a.address.empty(), "--advertise-address HOST (of the group)");
  if (a.world_size == 1) return;
  if (a.job != "train" && a.job != "evaluate") {
    throw Failure(Cause::kBadSpec, "--world-size is " + std::to_string(a.world_size) + ", but --job " + a.job +
                                       " runs on one rank. Give --world-size 1.");
  }
  need(!a.address.empty(), "--advertise-address HOST (--world-size is " + std::to_string(a.world_size) + ")");
  if (a.rank > 0) need(!a.control.empty(), "--control SOCKET (rank 0's address comes there)");
}

void CheckWorldSize(const Arguments& a, const TrialSpec& spec) {
  const int64_t batches = BatchesPerUpdate(spec);
  if (a.job != "train" || batches % a.world_size == 0) return;
  throw Failure(Cause::kBadSpec,
                "--world-size is " + std::to_string(a.world_size) + ", which does not divide the " +
                    std::to_string(batches) + " batches of an update (train.update_frequency " +
                    std::to_string(spec.train.update_frequency) + " x resources.ranks " +
                    std::to_string(spec.resources.ranks) + "). Run a number of ranks that does, or change one of the two.");
}

void RunJob(const Arguments& a, EventLog& events, Ranks& ranks) {
  Job job{.spec = ReadCheckedSpec(a.spec),
          .dataset = a.dataset,
          .out = a.out,
          .resume = a.resume,
          .world_size = a.world_size,
          .detokenisers = ParseDetokenisers(a.detokenisers)};
  CheckWorldSize(a, job.spec);
  job.environment = SetUpEnvironment(a.threads > 0 ? a.threads : job.spec.resources.threads);
  Control control(a.control);
  job.events = &events;
  job.control = &control;
  job.ranks = &ranks;
  std::filesystem::create_directories(job.out);
  if (!ranks.Meet(job.environment.device, &events, control)) {
    events.Emit("stopped", {{"update", 0}, {"file", nullptr}});
    return events.Sync();
  }
  if (a.job == "train") {
    Training(job).Run();
  } else if (a.job == "evaluate") {
    Evaluate(job, a.evaluation, {a.checkpoints.begin(), a.checkpoints.end()});
  } else if (a.job == "generate") {
    Generate(job, {a.checkpoints.begin(), a.checkpoints.end()});
  } else {
    Probe(job);
  }
}

int Complain(const Failure& failure) {
  std::fprintf(stderr, "strata-trainer: %s\n", failure.what());
  return ExitStatus(failure.cause());
}

int RunAndReport(const Arguments& a) {
  std::optional<EventLog> events;
  std::optional<Ranks> ranks;
  try {
    CheckUsage(a);
    events.emplace(a.spool, a.attempt, a.rank);
    ranks.emplace(RanksOptions{.rank = a.rank,
                               .size = a.world_size,
                               .address = a.address,
                               .collectives = a.collectives,
                               .group_of_one = a.group_of_one,
                               .meeting_timeout = std::chrono::seconds(a.meeting_seconds),
                               .arrival_timeout = std::chrono::seconds(a.arrival_seconds)});
    RunJob(a, *events, *ranks);
    return 0;
  } catch (const std::exception& error) {
    const Failure failure = ToFailure(error);
    const int status = Complain(failure);
    if (!events) return status;
    try {
      events->Emit("failed", {{"cause", CauseName(failure.cause())}, {"message", failure.what()}});
      events->Sync();
    } catch (const std::exception& second) {
      std::fprintf(stderr, "strata-trainer: the event 'failed' could not be written: %s\n", second.what());
    }
    // The group's threads may wait for a rank that is gone.
    if (ranks && !ranks->alone()) std::_Exit(status);
    return status;
  }
}

int Main(int argc, char** argv) {
  model::KeepFreedMemory();
  InstallSignalHandlers();
  Arguments arguments;
  CLI::App app(
      "One rank of one job: trains, evaluates, probes or applies a model after a spec and reports events as JSON lines.",
      "strata-trainer");
  Declare(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    if (Print(arguments)) return std::cout.flush() ? 0 : 1;
  } catch (const std::exception& error) {
    return Complain(ToFailure(error));
  }
  return RunAndReport(arguments);
}

}  // namespace
}  // namespace strata::trainer

int main(int argc, char** argv) { return strata::trainer::Main(argc, argv); }
