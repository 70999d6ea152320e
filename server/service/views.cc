#include "server/service/views.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/base/spec/spec.h"
#include "server/service/convert.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

// Finding a job's place means walking the queue: not for every job of a page of thousands.
constexpr size_t kMostExplained = 200;

absl::Status NoSuch(const char* what, const std::string& name) {
  return absl::NotFoundError(
      absl::StrCat("There is no ", what, " ", name, ". 'strata list' shows the experiments there are."));
}

void AddLive(const LiveJob& live, absl::Time now, v1::Trial& trial) {
  trial.set_updates_done(std::max(trial.updates_done(), live.updates_done));
  trial.set_seconds_per_update(live.seconds_per_update);
  trial.set_tokens_per_second(live.tokens_per_second);
  if (trial.state() == v1::JOB_STATE_RUNNING && live.seconds_per_update > 0 && live.ended > now) {
    const double left = live.seconds_per_update * std::max(0, live.updates - live.updates_done);
    *trial.mutable_estimated_end_time() = ToProto(live.progress_time + absl::Seconds(left));
  }
}

// What came out of the trial that was trained for this one.
void CopyResults(const store::Trial& from, store::Trial& to) {
  to.updates_done = from.updates_done;
  to.best_nll = from.best_nll;
  to.final_nll = from.final_nll;
  to.unigram_nll = from.unigram_nll;
  to.evidence = from.evidence;
  to.weights_sha256 = from.weights_sha256;
}

}  // namespace

absl::StatusOr<store::Experiment> Views::FindExperiment(const std::string& name) {
  if (const auto ids = ParseName(name, "experiments/*"); !ids.ok()) return NoSuch("experiment", name);
  auto row = coordinator_.store().FindExperiment(name);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return NoSuch("experiment", name);
  return **row;
}

absl::StatusOr<store::Trial> Views::FindTrial(const std::string& name) {
  auto row = coordinator_.store().FindTrial(name);
  if (!row.ok()) return row.status();
  if (!row->has_value()) return NoSuch("trial", name);
  return **row;
}

absl::StatusOr<core::Job> Views::FindJob(const std::string& name) {
  auto row = coordinator_.store().FindJob(name);
  if (!row.ok()) return row.status();
  if (row->has_value()) return **row;
  auto shown = coordinator_.store().JobsOfTrial(ParentOf(name));
  if (!shown.ok()) return shown.status();
  for (const store::TrialJob& job : *shown) {
    // A trial that is only probed has its PROBE job where others have their training.
    if (job.leaf == LeafOf(name) || (IsMainLeaf(LeafOf(name)) && IsMainLeaf(job.leaf))) return job.job;
  }
  return NoSuch("job", name);
}

absl::StatusOr<v1::Experiment> Views::Experiment(const std::string& name) {
  const auto row = FindExperiment(name);
  if (!row.ok()) return row.status();
  return Experiment(*row);
}

absl::StatusOr<v1::Experiment> Views::Experiment(const store::Experiment& row) {
  v1::Experiment proto;
  proto.set_name(row.name);
  if (!google::protobuf::util::JsonStringToMessage(row.spec_json, proto.mutable_spec()).ok()) {
    return absl::DataLossError(absl::StrCat("The stored specification of ", row.name, " cannot be read."));
  }
  *proto.mutable_create_time() = ToProto(row.create_time);
  proto.set_trials(row.trials);
  const auto jobs = coordinator_.store().JobsOfExperiment(row.name);
  if (!jobs.ok()) return jobs.status();
  std::map<v1::JobState, int32_t> states;
  bool done = true;
  for (const store::TrialJob& job : *jobs) {
    if (IsMainLeaf(job.leaf)) ++states[ToProto(job.job.state)];
    done = done && core::IsFinal(job.job.state);
  }
  proto.set_done(done);
  for (const auto& [state, trials] : states) {
    v1::StateCount* count = proto.add_states();
    count->set_state(state);
    count->set_trials(trials);
  }
  return proto;
}

v1::Job Views::Assemble(const core::Job& row, const std::vector<store::AttemptRecord>& attempts) {
  v1::Job proto = ToProto(row);
  for (const store::AttemptRecord& attempt : attempts) *proto.add_attempts() = ToProto(attempt);
  if (const auto live = live_.Find(row.name); live.has_value() && row.state == core::JobState::kRunning) {
    proto.set_phase(live->phase);
  }
  return proto;
}

absl::StatusOr<v1::Trial> Views::Assemble(const store::Trial& row, const std::vector<store::TrialJob>& jobs,
                                          const Attempts& attempts) {
  store::Trial shown = row;
  if (!row.reused_from.empty()) {
    const auto source = FindTrial(row.reused_from);
    if (!source.ok()) return source.status();
    CopyResults(*source, shown);
  }
  v1::Trial proto = ToProto(shown);
  auto spec = base::FromJson(row.spec_json);
  if (!spec.ok())
    return absl::DataLossError(absl::StrCat("The stored specification of ", row.name, " cannot be read."));
  *proto.mutable_spec() = *std::move(spec);
  for (const store::TrialJob& job : jobs) {
    if (job.trial != row.name) continue;
    const auto found = attempts.find(job.job.name);
    *proto.add_jobs() =
        Assemble(job.job, found == attempts.end() ? std::vector<store::AttemptRecord>() : found->second);
    if (!IsMainLeaf(job.leaf)) continue;
    proto.set_state(ToProto(job.job.state));
    if (const auto live = live_.Find(job.job.name); live.has_value()) AddLive(*live, coordinator_.now(), proto);
  }
  return proto;
}

absl::StatusOr<v1::Trial> Views::Trial(const std::string& name) {
  const auto row = FindTrial(name);
  if (!row.ok()) return row.status();
  const auto jobs = coordinator_.store().JobsOfTrial(name);
  if (!jobs.ok()) return jobs.status();
  Attempts attempts;
  for (const store::TrialJob& job : *jobs) {
    auto records = coordinator_.store().AttemptsOfJob(job.job.name);
    if (!records.ok()) return records.status();
    attempts[job.job.name] = *std::move(records);
  }
  auto trial = Assemble(*row, *jobs, attempts);
  if (!trial.ok()) return trial;
  std::vector<v1::Job*> shown;
  for (v1::Job& job : *trial->mutable_jobs()) shown.push_back(&job);
  if (absl::Status status = Explain(shown); !status.ok()) return status;
  return trial;
}

absl::StatusOr<std::vector<v1::Trial>> Views::Trials(const std::string& experiment, int32_t position, int limit) {
  const auto rows = coordinator_.store().ListTrials(experiment, position, limit);
  if (!rows.ok()) return rows.status();
  const auto jobs = coordinator_.store().JobsOfExperiment(experiment);
  if (!jobs.ok()) return jobs.status();
  const auto records = coordinator_.store().AttemptsOfExperiment(experiment);
  if (!records.ok()) return records.status();
  std::map<std::string, std::vector<store::TrialJob>> jobs_of;
  for (const store::TrialJob& job : *jobs) jobs_of[job.trial].push_back(job);
  Attempts attempts;
  for (const store::AttemptRecord& record : *records) attempts[record.attempt.job].push_back(record);
  std::vector<v1::Trial> trials;
  for (const store::Trial& row : *rows) {
    auto trial = Assemble(row, jobs_of[row.name], attempts);
    if (!trial.ok()) return trial.status();
    trials.push_back(*std::move(trial));
  }
  std::vector<v1::Job*> shown;
  for (v1::Trial& trial : trials) {
    for (v1::Job& job : *trial.mutable_jobs()) shown.push_back(&job);
  }
  if (absl::Status status = Explain(shown); !status.ok()) return status;
  return trials;
}

absl::StatusOr<v1::Job> Views::Job(const std::string& name) {
  const auto row = FindJob(name);
  if (!row.ok()) return row.status();
  auto jobs = Jobs({*row});
  if (!jobs.ok()) return jobs.status();
  return std::move(jobs->front());
}

absl::StatusOr<std::vector<v1::Job>> Views::JobsOfTrial(const std::string& trial) {
  const auto row = FindTrial(trial);
  if (!row.ok()) return row.status();
  const auto jobs = coordinator_.store().JobsOfTrial(trial);
  if (!jobs.ok()) return jobs.status();
  std::vector<core::Job> rows;
  for (const store::TrialJob& job : *jobs) rows.push_back(job.job);
  return Jobs(rows);
}

absl::StatusOr<std::vector<v1::Job>> Views::Jobs(const std::vector<core::Job>& rows) {
  std::vector<v1::Job> jobs;
  for (const core::Job& row : rows) {
    const auto attempts = coordinator_.store().AttemptsOfJob(row.name);
    if (!attempts.ok()) return attempts.status();
    jobs.push_back(Assemble(row, *attempts));
  }
  std::vector<v1::Job*> shown;
  for (v1::Job& job : jobs) shown.push_back(&job);
  if (absl::Status status = Explain(shown); !status.ok()) return status;
  return jobs;
}

absl::Status Views::Explain(const std::vector<v1::Job*>& jobs) {
  std::vector<v1::Job*> queued;
  for (v1::Job* job : jobs) {
    if (job->state() == v1::JOB_STATE_QUEUED && queued.size() < kMostExplained) queued.push_back(job);
  }
  if (queued.empty()) return absl::OkStatus();
  return coordinator_.Look([&](const core::Controller& controller) {
    for (v1::Job* job : queued) {
      const core::Controller::Waiting waiting = controller.WhyWaiting(job->name(), coordinator_.now());
      job->set_queue_position(waiting.position);
      job->set_waiting_for(waiting.reason);
    }
    return absl::OkStatus();
  });
}

}  // namespace strata::service
