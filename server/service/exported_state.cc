#include "server/service/exported_state.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/base/spec/spec.h"
#include "server/core/schedule.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

using Labels = std::vector<ClientMetric::Label>;

// A family of gauges in the making.
class Gauges {
 public:
  Gauges(const char* name, const char* help) {
    family_.name = name;
    family_.help = help;
    family_.type = MetricType::Gauge;
  }
  void Add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }
  void Add(Labels labels, const std::optional<double>& value) {
    if (value.has_value()) Add(std::move(labels), *value);
  }
  // Families without series are left out.
  void MoveTo(std::vector<MetricFamily>& out) {
    if (!family_.metric.empty()) out.push_back(std::move(family_));
  }

 private:
  MetricFamily family_;
};

// What the controller knows of a training that has not ended.
struct Training {
  core::JobState state = core::JobState::kQueued;
  int32_t checkpoint_update = -1;
};

// What of the controller's state is exported.
struct Census {
  std::map<core::JobState, int> jobs;
  std::map<core::WorkerState, int> workers;
  std::map<std::string, bool> up;  // by worker; those that have signed off are left out
  int slots = 0;
  int busy = 0;
  int eligible = 0, held = 0;
  absl::Duration longest_wait = absl::ZeroDuration();
  std::map<std::string, Training> trainings;  // of the jobs that are asked for
};

// Since when a job that could begin waits for room.
absl::Time WaitsSince(const core::State& state, const core::Job& job, const core::Job* upstream) {
  absl::Time since = std::max(job.create_time, job.not_before);
  if (upstream != nullptr && upstream->end_time != absl::InfiniteFuture()) since = std::max(since, upstream->end_time);
  const auto last = state.attempts.find({job.name, job.attempts});
  if (last != state.attempts.end() && !last->second.live()) since = std::max(since, last->second.end_time);
  return since;
}

void CountQueued(const core::State& state, const core::Job& job, absl::Time now, Census& census) {
  if (job.held) ++census.held;
  const auto found = state.jobs.find(job.upstream);
  const core::Job* upstream = found == state.jobs.end() ? nullptr : &found->second;
  if (!core::Eligible({.job = &job, .upstream = upstream}, now)) return;
  ++census.eligible;
  census.longest_wait = std::max(census.longest_wait, now - WaitsSince(state, job, upstream));
}

Census Count(const core::State& state, const std::vector<LiveJob>& live, absl::Time now) {
  Census census;
  for (const auto& [name, job] : state.jobs) {
    ++census.jobs[job.state];
    if (job.state == core::JobState::kQueued) CountQueued(state, job, now, census);
  }
  for (const LiveJob& job : live) {
    const auto found = state.jobs.find(job.job);
    if (found == state.jobs.end() || core::IsFinal(found->second.state)) continue;
    census.trainings[job.job] = {found->second.state, found->second.checkpoint_update};
  }
  for (const auto& [name, worker] : state.workers) {
    ++census.workers[worker.state];
    if (worker.state != core::WorkerState::kGone) census.up[name] = worker.state == core::WorkerState::kReady;
    if (worker.state == core::WorkerState::kReady) census.slots += static_cast<int>(worker.slots.size());
  }
  for (const auto& [key, attempt] : state.attempts) {
    if (!attempt.live()) continue;
    for (const core::RankPlace& place : attempt.places) census.busy += place.done ? 0 : 1;
  }
  return census;
}

void CollectJobs(const Census& census, std::vector<MetricFamily>& out) {
  using enum core::JobState;
  Gauges jobs("strata_jobs", "Jobs by state.");
  for (const core::JobState state :
       {kQueued, kPending, kRunning, kCancelling, kSucceeded, kFailed, kCancelled, kDiverged}) {
    const auto found = census.jobs.find(state);
    jobs.Add({{"state", core::Name(state)}}, found == census.jobs.end() ? 0 : found->second);
  }
  Gauges eligible("strata_queue_eligible_jobs", "Queued jobs that wait for nothing but room.");
  eligible.Add({}, census.eligible);
  Gauges held("strata_queue_held_jobs", "Queued jobs that a person holds.");
  held.Add({}, census.held);
  Gauges wait("strata_queue_longest_wait_seconds", "How long the job has waited for room that waits longest; 0: none.");
  wait.Add({}, absl::ToDoubleSeconds(census.longest_wait));
  for (Gauges* gauges : {&jobs, &eligible, &held, &wait}) gauges->MoveTo(out);
}

void CollectWorkers(const Census& census, std::vector<MetricFamily>& out) {
  Gauges workers("strata_workers", "Workers by state.");
  for (const auto& [state, name] :
       std::initializer_list<std::pair<core::WorkerState, const char*>>{{core::WorkerState::kReady, "READY"},
                                                                        {core::WorkerState::kLost, "LOST"},
                                                                        {core::WorkerState::kGone, "GONE"}}) {
    const auto found = census.workers.find(state);
    workers.Add({{"state", name}}, found == census.workers.end() ? 0 : found->second);
  }
  Gauges up("strata_worker_up", "1: the worker is heard of; 0: it is lost.");
  for (const auto& [name, is_up] : census.up) up.Add({{"worker", name}}, is_up ? 1 : 0);
  Gauges slots("strata_slots", "Slots of ready workers.");
  slots.Add({}, census.slots);
  Gauges busy("strata_slots_busy", "Slots that hold a rank of a live attempt.");
  busy.Add({}, census.busy);
  for (Gauges* gauges : {&workers, &up, &slots, &busy}) gauges->MoveTo(out);
}

void CollectDisk(const std::string& folder, std::vector<MetricFamily>& out) {
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0) return;
  const auto block = static_cast<double>(disk.f_frsize);
  Gauges free("strata_disk_free_bytes", "Room that is left to the coordinator on its data folder's disk.");
  free.Add({}, block * static_cast<double>(disk.f_bavail));
  Gauges size("strata_disk_size_bytes", "Size of the disk of the coordinator's data folder.");
  size.Add({}, block * static_cast<double>(disk.f_blocks));
  free.MoveTo(out);
  size.MoveTo(out);
}

// experiment and trial of a job, as labels.
Labels TrialLabels(const std::string& job) {
  const std::string trial = ParentOf(job);
  return {{"experiment", LeafOf(ParentOf(trial))}, {"trial", LeafOf(trial)}};
}

// What is exported of trainings, a family each.
class TrialFamilies {
 public:
  void Add(const LiveJob& job, const std::optional<Training>& now, absl::Time time) {
    const Labels labels = TrialLabels(job.job);
    loss_.Add(labels, job.loss);
    rate_.Add(labels, job.learning_rate);
    nll_.Add(labels, job.valid_nll);
    tokens_.Add(labels, job.tokens_per_second);
    done_.Add(labels, job.updates_done);
    total_.Add(labels, job.updates);
    diverged_.Add(labels, job.diverged ? 1 : 0);
    if (now.has_value()) {
      const bool runs = now->state == core::JobState::kRunning;
      if (runs) silence_.Add(labels, std::max(0.0, absl::ToDoubleSeconds(time - job.progress_time)));
      written_.Add(labels, std::max(job.checkpoint_written, now->checkpoint_update));
      stored_.Add(labels, now->checkpoint_update);
    }
    for (const auto& [stack, values] : job.gradient_norms) {
      for (const size_t layer : ShownLayers(values.size(), ExportedState::kMostLayers)) {
        Labels at = labels;
        at.push_back({"stack", stack});
        at.push_back({"layer", absl::StrCat(layer + 1)});
        norm_.Add(std::move(at), values[layer]);
      }
    }
  }
  void AddInfo(const std::string& job, const Labels& info) {
    Labels labels = TrialLabels(job);
    labels.insert(labels.end(), info.begin(), info.end());
    info_.Add(std::move(labels), 1);
  }
  void MoveTo(std::vector<MetricFamily>& out) {
    for (Gauges* gauges : {&info_, &loss_, &rate_, &tokens_, &nll_, &done_, &total_, &diverged_, &silence_, &written_,
                           &stored_, &norm_}) {
      gauges->MoveTo(out);
    }
  }

 private:
  Gauges info_{"strata_trial_info", "1; what the trial is stands in the labels."};
  Gauges loss_{"strata_trial_loss", "Label-smoothed training loss, nats a target token."};
  Gauges rate_{"strata_trial_learning_rate", "Learning rate of the last update."};
  Gauges tokens_{"strata_trial_tokens_per_second", "Target tokens trained a second, lately."};
  Gauges nll_{"strata_trial_valid_nll", "Last validation NLL, nats a target token."};
  Gauges done_{"strata_trial_updates_done", "Updates done."};
  Gauges total_{"strata_trial_updates", "Updates of the specification."};
  Gauges diverged_{"strata_trial_diverged", "1 once a rule of divergence has held, else 0."};
  Gauges silence_{"strata_trial_silence_seconds",
                  "Time since a training that runs has told its progress, as it does at the end of an update."};
  Gauges written_{"strata_trial_checkpoint_written_update",
                  "Update of the newest resumable checkpoint that the trainer has written; -1: none."};
  Gauges stored_{"strata_trial_checkpoint_stored_update",
                 "Update of the newest resumable checkpoint that the coordinator holds whole; -1: none."};
  Gauges norm_{"strata_trial_gradient_norm",
               "L2 norm of the loss's gradient at a layer's output, by stack and layer from 1."};
};

// Trainings to export: those that train before those that have ended, of these the last ones; left out are the others.
size_t KeepShown(std::vector<LiveJob>& jobs) {
  std::erase_if(jobs, [](const LiveJob& job) { return !job.training; });
  if (jobs.size() <= ExportedState::kMostTrials) return 0;
  const size_t left_out = jobs.size() - ExportedState::kMostTrials;
  std::stable_sort(jobs.begin(), jobs.end(), [](const LiveJob& a, const LiveJob& b) { return a.ended > b.ended; });
  jobs.resize(ExportedState::kMostTrials);
  return left_out;
}

}  // namespace

std::vector<size_t> ShownLayers(size_t count, size_t most) {
  std::vector<size_t> shown;
  const size_t kept = std::min(count, most);
  for (size_t i = 0; i < kept; ++i) shown.push_back(kept == count ? i : i * (count - 1) / (kept - 1));
  return shown;
}

Labels ExportedState::InfoOf(const std::string& name) {
  const auto trial = coordinator_.store().FindTrial(name);
  if (!trial.ok() || !trial->has_value()) return {};
  const auto spec = base::FromJson((*trial)->spec_json);
  if (!spec.ok()) return {};
  return {{"task", spec->task().kind()},
          {"dataset", (*trial)->dataset},
          {"scheme", spec->model().scheme()},
          {"depth", spec->model().depth()},
          {"seed", absl::StrCat(spec->train().seed())}};
}

void ExportedState::Collect(std::vector<MetricFamily>& out) {
  const absl::Time now = coordinator_.now();
  std::vector<LiveJob> jobs = live_.All(now);
  const size_t left_out = KeepShown(jobs);
  Census census;
  const absl::Status status = coordinator_.Look([&](const core::Controller& controller) {
    census = service::Count(controller.state(), jobs, now);
    return absl::OkStatus();
  });
  TrialFamilies families;
  {
    base::MutexLock lock(mutex_);
    std::map<std::string, Labels> known;
    known.swap(info_);
    for (const LiveJob& job : jobs) {
      const std::string trial = ParentOf(job.job);
      const auto found = known.find(trial);
      Labels& info = info_[trial];
      info = found == known.end() ? InfoOf(trial) : std::move(found->second);
      families.AddInfo(job.job, info);
      const auto training = census.trainings.find(job.job);
      families.Add(job, training == census.trainings.end() ? std::nullopt : std::optional(training->second), now);
    }
  }
  families.MoveTo(out);
  Gauges more("strata_trials_left_out", "Trainings that are not shown because there are too many.");
  more.Add({}, static_cast<double>(left_out));
  more.MoveTo(out);
  CollectDisk(data_dir_, out);
  if (!status.ok()) return;
  CollectJobs(census, out);
  CollectWorkers(census, out);
}

std::string ExportedState::WorkerTargets() {
  nlohmann::json targets = nlohmann::json::array();
  (void)coordinator_.Look([&](const core::Controller& controller) {
    for (const auto& [name, worker] : controller.state().workers) {
      if (worker.state != core::WorkerState::kReady || worker.metrics_address.empty()) continue;
      targets.push_back({{"targets", nlohmann::json::array({worker.metrics_address})},
                         {"labels",
                          {{"worker", name},
                           {"__meta_strata_host", worker.host},
                           {"__meta_strata_version", worker.version},
                           {"__meta_strata_cordoned", worker.cordoned ? "true" : "false"}}}});
    }
    return absl::OkStatus();
  });
  return targets.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace strata::service
