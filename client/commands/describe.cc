#include "absl/strings/str_join.h"
#include "client/commands/command.h"
#include "client/format.h"
#include "client/initialisations.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/table.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

void Line(const std::string& key, const std::string& value) {
  if (!value.empty()) std::printf("%-14s %s\n", key.c_str(), value.c_str());
}

// What Describe says beyond the state, which stands in a column of its own: "trained as e-0/t1".
std::string Note(const v1::Trial& trial) {
  const std::string words = Describe(trial), state = StateName(trial.state());
  if (words.rfind(state, 0) != 0) return words;
  std::string note = words.substr(std::min(words.size(), state.size() + 2));  // " ("
  if (const size_t between = note.find(") ("); between != std::string::npos) note.replace(between, 3, ", ");
  if (!note.empty() && note.back() == ')') note.pop_back();
  return note;
}

void PrintTrials(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials) {
  std::vector<std::string> titles{"TRIAL", "SCHEME", "DEPTH", ">SEED"};
  const bool further = !trials.empty() && !FurtherSettings(experiment, trials.front()).empty();
  if (further) titles.push_back("SETTINGS");
  for (const char* title : {"STATE", ">UPDATE", ">BEST NLL", ">FINAL NLL", "NOTE"}) titles.emplace_back(title);
  Table table(titles);
  for (const v1::Trial& trial : trials) {
    std::vector<std::string> cells{LastPart(trial.name()), trial.spec().model().scheme(), trial.spec().model().depth(),
                                   std::to_string(trial.spec().train().seed())};
    if (further) cells.push_back(absl::StrJoin(FurtherSettings(experiment, trial), " "));
    cells.push_back(StateName(trial.state()));
    cells.push_back(trial.updates() == 0 ? "-" : std::to_string(trial.updates_done()) + "/" + std::to_string(trial.updates()));
    cells.push_back(FormatNll(trial.has_best_nll(), trial.best_nll()));
    cells.push_back(FormatNll(trial.has_final_nll(), trial.final_nll()));
    cells.push_back(Note(trial));
    table.Add(cells);
  }
  std::fputs(table.Text().c_str(), stdout);
}

absl::Status DescribeExperiment(const Context& context, const std::string& name) {
  const Connection connection = context.Connect();
  v1::GetExperimentRequest request;
  request.set_name(name);
  const auto experiment =
      connection.Call(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request);
  if (!experiment.ok()) return experiment.status();
  const auto trials = ListTrials(connection, name);
  if (!trials.ok()) return trials.status();
  const auto groups = CompareTrials(connection, *trials);
  if (!groups.ok()) return groups.status();
  if (context.json()) {
    v1::WatchExperimentResponse both;
    *both.mutable_experiment() = *experiment;
    for (const auto& trial : *trials) *both.add_trials() = trial;
    auto document = nlohmann::ordered_json::parse(ToJson(both));
    document["matched_comparison"] = nlohmann::ordered_json::parse(ToJson(*groups));
    std::printf("%s\n", document.dump(1).c_str());
    return absl::OkStatus();
  }
  Line("experiment", ShortName(name));
  Line("submitted", FormatTime(experiment->create_time()));
  Line("trials", FormatCount(experiment->trials()) + " (" + StateCounts(*experiment) + ")");
  Line("done", experiment->done() ? "yes" : "no");
  if (experiment->spec().priority() != 0) Line("priority", std::to_string(experiment->spec().priority()));
  std::puts("");
  PrintTrials(*experiment, *trials);
  if (!groups->empty()) std::printf("\nMatched comparison\n%s", Text(*groups).c_str());
  return absl::OkStatus();
}

void PrintJobs(const google::protobuf::RepeatedPtrField<v1::Job>& jobs) {
  Table table({"JOB", "KIND", "STATE", ">ATTEMPTS", "WORKERS", "NOTE"});
  for (const v1::Job& job : jobs) {
    std::string workers;
    if (job.attempts_size() > 0) {
      for (const std::string& worker : job.attempts(job.attempts_size() - 1).workers())
        workers += (workers.empty() ? "" : " ") + ShortName(worker);
    }
    std::string note = job.cause() + (job.cause().empty() || job.message().empty() ? "" : ": ") + job.message();
    if (note.empty()) note = job.waiting_for();
    table.Add({LastPart(job.name()), KindName(job.kind()), StateName(job.state()) + (job.held() ? ", held" : ""), std::to_string(job.attempts_size()),
               workers, Fit(note, 100)});
  }
  std::fputs(table.Text().c_str(), stdout);
  // The table has room for the beginning of a sentence; its remedy stands at the end.
  for (const v1::Job& job : jobs) {
    if (job.state() == v1::JOB_STATE_FAILED && !job.message().empty())
      std::printf("\n%s is FAILED (%s): %s\n", LastPart(job.name()).c_str(), job.cause().c_str(),
                  job.message().c_str());
  }
}

absl::Status DescribeTrial(const Context& context, const std::string& name) {
  const Connection connection = context.Connect();
  v1::GetTrialRequest request;
  request.set_name(name);
  const auto trial = connection.Call(&v1::TrialService::Stub::GetTrial, connection.trials(), request);
  if (!trial.ok()) return trial.status();
  if (context.json()) {
    PrintJson(*trial);
    return absl::OkStatus();
  }
  Line("trial", ShortName(name));
  Line("state", Describe(*trial));
  if (trial->updates() > 0)
    Line("updates", std::to_string(trial->updates_done()) + " of " + std::to_string(trial->updates()));
  Line("best NLL", FormatNll(trial->has_best_nll(), trial->best_nll()));
  Line("final NLL", FormatNll(trial->has_final_nll(), trial->final_nll()));
  Line("unigram NLL", FormatNll(trial->has_unigram_nll(), trial->unigram_nll()));
  Line("evidence", trial->evidence());
  Line("trained as", ShortName(trial->reused_from()));
  Line("goes on from", ShortName(trial->extended_from()));
  Line("fingerprint", trial->fingerprint());
  Line("dataset", trial->spec().task().dataset() + " " + trial->dataset_digest());
  Line("weights", trial->weights_sha256());
  std::puts("");
  PrintJobs(trial->jobs());
  std::puts("\nConfiguration");
  for (const base::Field& field : base::AllFields()) {
    for (int item = field.item; item < (field.item < 0 ? 0 : trial->spec().evaluate_size()); ++item) {
      const std::string path =
          item < 0 ? field.path : "evaluate[" + std::to_string(item) + "]." + field.descriptor->name();
      std::printf("  %-36s %s\n", path.c_str(), base::GetField(trial->spec(), path)->c_str());
    }
  }
  return absl::OkStatus();
}

absl::Status DescribeJob(const Context& context, const std::string& name) {
  const Connection connection = context.Connect();
  v1::GetJobRequest request;
  request.set_name(name);
  const auto job = connection.Call(&v1::JobService::Stub::GetJob, connection.jobs(), request);
  if (!job.ok()) return job.status();
  if (context.json()) {
    PrintJson(*job);
    return absl::OkStatus();
  }
  Line("job", ShortName(name));
  Line("kind", KindName(job->kind()));
  Line("state", StateName(job->state()));
  Line("phase", job->phase());
  Line("cause", job->cause());
  Line("message", job->message());
  Line("waits for", job->waiting_for());
  if (job->held()) Line("held", "yes; strata release " + ShortName(name) + " lets it begin");
  if (job->priority() != 0) Line("priority", std::to_string(job->priority()));
  Line("submitted", FormatTime(job->create_time()));
  Line("ended", FormatTime(job->end_time()));
  std::puts("");
  Table table({">ATTEMPT", ">RANKS", "WORKERS", "STARTED", "ENDED", "OUTCOME", ">FROM UPDATE", "CAUSE"});
  for (const v1::Attempt& attempt : job->attempts()) {
    std::string workers;
    for (const std::string& worker : attempt.workers()) workers += (workers.empty() ? "" : " ") + ShortName(worker);
    table.Add({std::to_string(attempt.number()), std::to_string(attempt.ranks()), workers, FormatTime(attempt.start_time()),
               FormatTime(attempt.end_time()), attempt.outcome().empty() ? "live" : attempt.outcome(),
               attempt.has_resumed_from() ? std::to_string(attempt.resumed_from()) : "", attempt.cause()});
  }
  std::fputs(table.Text().c_str(), stdout);
  for (const v1::Attempt& attempt : job->attempts()) {  // whole: the remedy stands at the end of a sentence
    if (!attempt.message().empty()) std::printf("\nattempt %d: %s\n", attempt.number(), attempt.message().c_str());
  }
  for (const v1::Attempt& attempt : job->attempts()) {
    if (!attempt.environment().empty())
      std::printf("\nattempt %d ran under %s\n", attempt.number(), attempt.environment().c_str());
  }
  return absl::OkStatus();
}

absl::Status DescribeAny(const Context& context, const std::string& text) {
  const auto name = ParseName(text);
  if (!name.ok()) return name.status();
  if (name->kind == NameKind::kExperiment) return DescribeExperiment(context, name->full);
  return name->kind == NameKind::kTrial ? DescribeTrial(context, name->full) : DescribeJob(context, name->full);
}

}  // namespace

void AddDescribe(CLI::App& app, Context& context) {
  CLI::App* command = AddCommand(app, context, "describe", "Show an experiment, a trial or a job in full.",
                                 {"strata describe quickstart-1", "strata describe quickstart-1/t3",
                                  "strata describe quickstart-1/t3/train --output json"});
  static std::string name;
  command->add_option("NAME", name, "Experiment, trial or job")->required();
  OnRun(command, context, [&context] { return DescribeAny(context, name); });
}

}  // namespace strata::client
