#include "server/store/memory_store.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "server/base/mutex.h"

namespace strata::store {
namespace {

template <typename T>
struct Measured {
  int32_t attempt = 0;
  T value;
};

// Everything stored. Copied before each transaction, so that one that fails leaves no trace.
struct Tables {
  int64_t next_experiment_id = 1;
  std::map<int64_t, Experiment> experiments;
  std::vector<Trial> trials;  // as inserted
  std::map<std::string, core::Job> jobs;
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> links;  // trial -> leaf, job
  std::map<std::pair<std::string, int32_t>, AttemptRecord> attempts;
  std::map<std::tuple<std::string, int32_t, int64_t>, std::string> warnings;
  std::map<std::string, core::Worker> workers;
  std::map<std::tuple<std::string, int32_t, int32_t>, int64_t> cursors;
  std::map<std::tuple<std::string, std::string, int32_t>, Measured<double>> scalars;  // job, name, step
  std::map<std::tuple<std::string, std::string, std::string, int32_t>, Measured<std::vector<double>>>
      vectors;  // and stack
  std::set<std::pair<std::string, std::string>> checkpoint_events;
  std::map<std::string, Dataset> datasets;
  std::map<std::string, std::vector<DatasetFile>> dataset_files;
  std::map<std::string, Upload> uploads;
  std::vector<Artifact> artifacts;

  Trial* FindTrial(const std::string& name) {
    const auto at = std::find_if(trials.begin(), trials.end(), [&](const Trial& t) { return t.name == name; });
    return at == trials.end() ? nullptr : &*at;
  }
};

absl::Status Taken(const std::string& what) {
  return absl::AlreadyExistsError(absl::StrCat("It is stored already (", what, ")."));
}
absl::Status Missing(const std::string& what) {
  return absl::InternalError(absl::StrCat("The store refuses it: there is no ", what, "."));
}

absl::Status Run(Tables& t, const InsertExperiment& w) {
  for (const auto& [id, experiment] : t.experiments) {
    if (id == w.experiment.id || experiment.name == w.experiment.name ||
        experiment.request_id == w.experiment.request_id) {
      return Taken(w.experiment.name);
    }
  }
  t.experiments[w.experiment.id] = w.experiment;
  t.next_experiment_id = std::max(t.next_experiment_id, w.experiment.id + 1);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const InsertTrial& w) {
  if (t.FindTrial(w.trial.name) != nullptr) return Taken(w.trial.name);
  if (std::none_of(t.experiments.begin(), t.experiments.end(),
                   [&](const auto& e) { return e.second.name == w.trial.experiment; })) {
    return Missing(w.trial.experiment);
  }
  t.trials.push_back(w.trial);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutJob& w) {
  if (t.FindTrial(w.job.trial) == nullptr) return Missing(w.job.trial);
  t.jobs[w.job.name] = w.job;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const LinkJob& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  if (t.FindTrial(w.trial) == nullptr) return Missing(w.trial);
  for (const auto& [leaf, job] : t.links[w.trial]) {
    if (leaf == w.leaf) return Taken(w.leaf);
  }
  t.links[w.trial].emplace_back(w.leaf, w.job);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutAttempt& w) {
  if (!t.jobs.contains(w.attempt.job)) return Missing(w.attempt.job);
  t.attempts[{w.attempt.job, w.attempt.number}].attempt = w.attempt;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutWorker& w) {
  t.workers[w.worker.name] = w.worker;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const EraseWorker& w) {
  t.workers.erase(w.name);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const RecordStart& w) {
  const auto record = t.attempts.find({w.job, w.attempt});
  if (record != t.attempts.end()) {
    record->second.environment = w.environment;
    record->second.resumed_from = w.resumed_from;
  }
  const int32_t last_kept = w.resumed_from.value_or(-1);
  std::erase_if(t.scalars, [&](const auto& row) {
    return std::get<0>(row.first) == w.job && row.second.attempt < w.attempt && std::get<2>(row.first) > last_kept;
  });
  std::erase_if(t.vectors, [&](const auto& row) {
    return std::get<0>(row.first) == w.job && row.second.attempt < w.attempt && std::get<3>(row.first) > last_kept;
  });
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const AddWarning& w) {
  if (!t.attempts.contains({w.job, w.attempt})) return Missing(absl::StrCat(w.job, " attempt ", w.attempt));
  t.warnings[{w.job, w.attempt, w.seq}] = w.message;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const AdvanceCursor& w) {
  if (!t.attempts.contains({w.job, w.attempt})) return Missing(absl::StrCat(w.job, " attempt ", w.attempt));
  const auto found = t.cursors.find({w.job, w.attempt, w.rank});
  const int64_t stands = found == t.cursors.end() ? 0 : found->second;
  if (stands != w.expected) {
    return absl::FailedPreconditionError(absl::StrCat("Events of ", w.job, " attempt ", w.attempt, " rank ", w.rank,
                                                      " are acknowledged up to ", stands, ", not ", w.expected, "."));
  }
  t.cursors[{w.job, w.attempt, w.rank}] = w.seq;
  return absl::OkStatus();
}

template <typename Row, typename Value>
void PutMeasured(Row& row, int32_t attempt, const Value& value) {
  if (attempt < row.attempt) return;
  row.attempt = attempt;
  row.value = value;
}

absl::Status Run(Tables& t, const PutScalars& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  for (const ScalarPoint& point : w.points)
    PutMeasured(t.scalars[{w.job, point.series, point.update}], w.attempt, point.value);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutVectors& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  for (const VectorPoint& point : w.points) {
    PutMeasured(t.vectors[{w.job, point.stack, point.series, point.update}], w.attempt, point.values);
  }
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const UpdateTrial& w) {
  Trial* trial = t.FindTrial(w.trial);
  if (trial == nullptr) return absl::OkStatus();
  const auto number = [](const std::optional<double>& value) { return value.has_value() && !std::isnan(*value); };
  if (w.updates_done.has_value()) trial->updates_done = *w.updates_done;
  if (number(w.best_nll)) {
    trial->best_nll = w.best_nll;
  } else if (number(w.valid_nll)) {
    trial->best_nll = std::min(trial->best_nll.value_or(*w.valid_nll), *w.valid_nll);
  }
  if (number(w.final_nll)) trial->final_nll = w.final_nll;
  if (number(w.unigram_nll)) trial->unigram_nll = w.unigram_nll;
  if (w.evidence.has_value()) trial->evidence = *w.evidence;
  if (w.weights_sha256.has_value()) trial->weights_sha256 = *w.weights_sha256;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const AddCheckpointEvent& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  t.checkpoint_events.insert({w.job, w.sha256});
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutDataset& w) {
  t.datasets[w.dataset.name] = w.dataset;
  t.dataset_files[w.dataset.name] = w.files;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const CompleteDatasetFile& w) {
  for (DatasetFile& file : t.dataset_files[w.dataset]) {
    if (file.path == w.path) file.complete = true;
  }
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const CompleteDataset& w) {
  const auto found = t.datasets.find(w.dataset);
  if (found != t.datasets.end()) found->second.complete = true;
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutUpload& w) {
  if (!t.jobs.contains(w.upload.job)) return Missing(w.upload.job);
  if (!t.uploads.emplace(w.upload.id, w.upload).second) return Taken(w.upload.id);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const EraseUpload& w) {
  t.uploads.erase(w.id);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const PutArtifact& w) {
  for (const Artifact& artifact : t.artifacts) {
    if (artifact.name == w.artifact.name) return Taken(w.artifact.name);
  }
  t.artifacts.push_back(w.artifact);
  return absl::OkStatus();
}

absl::Status Run(Tables& t, const EraseArtifact& w) {
  std::erase_if(t.artifacts, [&](const Artifact& artifact) { return artifact.name == w.name; });
  return absl::OkStatus();
}

class Done final : public Commit {
 public:
  explicit Done(absl::Status status) : status_(std::move(status)) {}
  absl::Status Wait() override { return status_; }

 private:
  const absl::Status status_;
};

template <typename Map, typename Key>
auto FindIn(const Map& map, const Key& key) -> std::optional<typename Map::mapped_type> {
  const auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  return found->second;
}

// The rows that `wanted` takes, at most `limit`.
template <typename Container, typename Wanted>
auto Some(const Container& rows, int limit, Wanted wanted) {
  std::vector<typename Container::value_type> out;
  for (const auto& row : rows) {
    if (static_cast<int>(out.size()) < limit && wanted(row)) out.push_back(row);
  }
  return out;
}

class MemoryStore final : public Store {
 public:
  std::shared_ptr<Commit> Enqueue(Transaction transaction) override {
    base::MutexLock lock(mutex_);
    if (transaction.epoch != 0 && transaction.epoch <= failed_epoch_) {
      return std::make_shared<Done>(
          absl::AbortedError("A change that this one rests on could not be stored. Try again."));
    }
    Tables before = t_;
    for (const Write& write : transaction.writes) {
      absl::Status status = std::visit([&](const auto& w) { return Run(t_, w); }, write);
      if (status.ok()) continue;
      t_ = std::move(before);
      failed_epoch_ = std::max(failed_epoch_, transaction.epoch);
      return std::make_shared<Done>(status);
    }
    return std::make_shared<Done>(absl::OkStatus());
  }

  absl::StatusOr<core::State> LoadState() override {
    base::MutexLock lock(mutex_);
    core::State state;
    state.jobs = t_.jobs;
    state.workers = t_.workers;
    for (const auto& [key, record] : t_.attempts) {
      if (t_.jobs.at(key.first).attempts == key.second) state.attempts[key] = record.attempt;
    }
    return state;
  }
  absl::StatusOr<int64_t> NextExperimentId() override {
    base::MutexLock lock(mutex_);
    return t_.next_experiment_id;
  }

  Found<Experiment> FindExperiment(const std::string& name) override {
    return FirstExperiment([&](const Experiment& e) { return e.name == name; });
  }
  Found<Experiment> FindRequest(const std::string& id) override {
    return FirstExperiment([&](const Experiment& e) { return e.request_id == id; });
  }
  Rows<Experiment> ListExperiments(int64_t before, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<Experiment> out;
    for (auto at = t_.experiments.rbegin(); at != t_.experiments.rend() && static_cast<int>(out.size()) < limit; ++at) {
      if (at->first < before) out.push_back(at->second);
    }
    return out;
  }

  Found<Trial> FindTrial(const std::string& name) override {
    base::MutexLock lock(mutex_);
    const Trial* trial = t_.FindTrial(name);
    return trial == nullptr ? std::nullopt : std::optional(*trial);
  }
  Rows<Trial> ListTrials(const std::string& experiment, int32_t position, int limit) override {
    base::MutexLock lock(mutex_);
    auto out =
        Some(t_.trials, 1 << 30, [&](const Trial& t) { return t.experiment == experiment && t.position >= position; });
    std::sort(out.begin(), out.end(), [](const Trial& a, const Trial& b) { return a.position < b.position; });
    if (static_cast<int>(out.size()) > limit) out.resize(static_cast<size_t>(limit));
    return out;
  }
  Rows<Trial> TrialsWithFingerprint(const std::string& fingerprint) override {
    base::MutexLock lock(mutex_);
    auto out =
        Some(t_.trials, 1 << 30, [&](const Trial& t) { return t.fingerprint == fingerprint && t.reused_from.empty(); });
    std::reverse(out.begin(), out.end());
    return out;
  }

  Rows<TrialJob> JobsOfTrial(const std::string& trial) override {
    base::MutexLock lock(mutex_);
    return LinkedJobs(trial);
  }
  Rows<TrialJob> JobsOfExperiment(const std::string& experiment) override {
    const auto trials = ListTrials(experiment, 0, 1 << 30);
    base::MutexLock lock(mutex_);
    std::vector<TrialJob> out;
    for (const Trial& trial : *trials) {
      for (TrialJob& job : LinkedJobs(trial.name)) out.push_back(std::move(job));
    }
    return out;
  }
  Rows<core::Job> ListJobs(int64_t order, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<core::Job> out;
    for (const auto& [name, job] : t_.jobs) {
      if (job.order >= order) out.push_back(job);
    }
    std::sort(out.begin(), out.end(), [](const core::Job& a, const core::Job& b) { return a.order < b.order; });
    if (static_cast<int>(out.size()) > limit) out.resize(static_cast<size_t>(limit));
    return out;
  }
  Found<core::Job> FindJob(const std::string& name) override {
    base::MutexLock lock(mutex_);
    return FindIn(t_.jobs, name);
  }
  Rows<AttemptRecord> AttemptsOfJob(const std::string& job) override {
    base::MutexLock lock(mutex_);
    return Attempts({job});
  }
  Rows<AttemptRecord> AttemptsOfExperiment(const std::string& experiment) override {
    const auto jobs = JobsOfExperiment(experiment);
    std::set<std::string> names;
    for (const TrialJob& job : *jobs) names.insert(job.job.name);
    base::MutexLock lock(mutex_);
    return Attempts(names);
  }

  absl::StatusOr<std::map<int32_t, int64_t>> Cursors(const std::string& job, int32_t attempt) override {
    base::MutexLock lock(mutex_);
    std::map<int32_t, int64_t> out;
    for (const auto& [key, seq] : t_.cursors) {
      if (std::get<0>(key) == job && std::get<1>(key) == attempt) out[std::get<2>(key)] = seq;
    }
    return out;
  }
  Rows<ScalarPoint> Scalars(const std::string& job, const std::string& series, int32_t min_update, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<ScalarPoint> out;
    for (const auto& [key, row] : t_.scalars) {
      const auto& [of, name, step] = key;
      if (of == job && (series.empty() || name == series) && step >= min_update) out.push_back({name, step, row.value});
    }
    std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.update < b.update; });
    if (static_cast<int>(out.size()) > limit) out.resize(static_cast<size_t>(limit));
    return out;
  }
  Rows<VectorPoint> Vectors(const std::string& job, const std::string& stack, const std::string& series,
                            int32_t min_update, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<VectorPoint> out;
    for (const auto& [key, row] : t_.vectors) {
      const auto& [of, in, name, step] = key;
      if (of != job || in != stack || name != series || step < min_update || static_cast<int>(out.size()) >= limit)
        continue;
      out.push_back({in, name, step, row.value});
    }
    return out;
  }
  Rows<Series> ListSeries(const std::string& job) override {
    base::MutexLock lock(mutex_);
    std::map<std::tuple<bool, std::string, std::string>, Series> all;
    for (const auto& [key, row] : t_.scalars) {
      if (std::get<0>(key) == job) Note(all[{false, std::get<1>(key), ""}], std::get<1>(key), "", std::get<2>(key));
    }
    for (const auto& [key, row] : t_.vectors) {
      const auto& [of, stack, name, step] = key;
      if (of == job) Note(all[{true, name, stack}], name, stack, step);
    }
    std::vector<Series> out;
    for (const auto& [key, series] : all) out.push_back(series);
    return out;
  }

  Found<Dataset> FindDataset(const std::string& name) override {
    base::MutexLock lock(mutex_);
    return FindIn(t_.datasets, name);
  }
  Rows<Dataset> ListDatasets(const std::string& after, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<Dataset> out;
    for (const auto& [name, dataset] : t_.datasets) {
      if (name > after && dataset.complete && static_cast<int>(out.size()) < limit) out.push_back(dataset);
    }
    return out;
  }
  Rows<DatasetFile> FilesOfDataset(const std::string& name) override {
    base::MutexLock lock(mutex_);
    return FindIn(t_.dataset_files, name).value_or(std::vector<DatasetFile>());
  }

  Found<Upload> FindUpload(const std::string& id) override {
    base::MutexLock lock(mutex_);
    return FindIn(t_.uploads, id);
  }
  Found<Upload> FindUpload(const Upload& same) override {
    base::MutexLock lock(mutex_);
    for (const auto& [id, u] : t_.uploads) {
      if (u.job == same.job && u.attempt == same.attempt && u.kind == same.kind && u.sha256 == same.sha256)
        return std::optional(u);
    }
    return std::optional<Upload>();
  }
  Found<Artifact> FindArtifact(const std::string& name) override {
    base::MutexLock lock(mutex_);
    const auto found = Some(t_.artifacts, 1, [&](const Artifact& a) { return a.name == name; });
    return found.empty() ? std::nullopt : std::optional(found.front());
  }
  Rows<Artifact> ListArtifacts(const std::string& trial) override {
    base::MutexLock lock(mutex_);
    auto out = Some(t_.artifacts, 1 << 30, [&](const Artifact& a) { return a.trial == trial; });
    std::reverse(out.begin(), out.end());
    return out;
  }
  absl::StatusOr<bool> HasCheckpointEvent(const std::string& job, const std::string& sha256) override {
    base::MutexLock lock(mutex_);
    return t_.checkpoint_events.contains({job, sha256});
  }

 private:
  template <typename Wanted>
  Found<Experiment> FirstExperiment(Wanted wanted) {
    base::MutexLock lock(mutex_);
    for (const auto& [id, experiment] : t_.experiments) {
      if (wanted(experiment)) return std::optional(experiment);
    }
    return std::optional<Experiment>();
  }
  std::vector<TrialJob> LinkedJobs(const std::string& trial) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<TrialJob> out;
    const auto links = t_.links.find(trial);
    if (links == t_.links.end()) return out;
    for (const auto& [leaf, job] : links->second) out.push_back({trial, leaf, t_.jobs.at(job)});
    return out;
  }
  std::vector<AttemptRecord> Attempts(const std::set<std::string>& jobs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    std::vector<AttemptRecord> out;
    for (const auto& [key, record] : t_.attempts) {
      if (!jobs.contains(key.first)) continue;
      out.push_back(record);
      for (const auto& [at, message] : t_.warnings) {
        if (std::get<0>(at) == key.first && std::get<1>(at) == key.second) out.back().warnings.push_back(message);
      }
    }
    return out;
  }
  static void Note(Series& series, const std::string& name, const std::string& stack, int32_t update) {
    series.series = name;
    series.stack = stack;
    ++series.points;
    series.last_update = std::max(series.last_update, update);
  }

  base::Mutex mutex_;
  Tables t_ ABSL_GUARDED_BY(mutex_);
  int64_t failed_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::unique_ptr<Store> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace strata::store
