#include "server/store/memory_store.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "server/base/mutex.h"
#include "server/store/memory_tables.h"

namespace strata::store {
namespace {

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
    MemoryTables before = t_;
    for (const Write& write : transaction.writes) {
      absl::Status status = ApplyWrite(t_, write);
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

  Found<double> SecondsPerUpdate(const std::string& cost_class) override {
    base::MutexLock lock(mutex_);
    constexpr int kNewest = 8;
    double sum = 0;
    int count = 0;
    for (auto trial = t_.trials.rbegin(); trial != t_.trials.rend() && count < kNewest; ++trial) {
      if (trial->cost_class != cost_class || !trial->seconds_per_update.has_value()) continue;
      sum += *trial->seconds_per_update;
      ++count;
    }
    return count > 0 ? std::optional(sum / count) : std::nullopt;
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
  Rows<Reference> ReferencesTo(const std::string& experiment) override {
    base::MutexLock lock(mutex_);
    return store::ReferencesTo(t_, experiment);
  }
  Rows<std::string> ExperimentsOfDataset(const std::string& dataset) override {
    base::MutexLock lock(mutex_);
    return store::ExperimentsOfDataset(t_, dataset);
  }
  Rows<MeasurementSize> MeasurementSizes(const std::string& experiment) override {
    base::MutexLock lock(mutex_);
    return store::MeasurementSizes(t_, experiment);
  }
  Rows<Artifact> ListAllArtifacts(const std::string& after, int limit) override {
    base::MutexLock lock(mutex_);
    auto out = Some(t_.artifacts, 1 << 30, [&](const Artifact& a) { return a.name > after; });
    std::sort(out.begin(), out.end(), [](const Artifact& a, const Artifact& b) { return a.name < b.name; });
    if (static_cast<int>(out.size()) > limit) out.resize(static_cast<size_t>(limit));
    return out;
  }
  Rows<Upload> ListUploads() override {
    base::MutexLock lock(mutex_);
    std::vector<Upload> out;
    for (const auto& [id, upload] : t_.uploads) out.push_back(upload);
    return out;
  }
  Rows<Dataset> ListAllDatasets() override {
    base::MutexLock lock(mutex_);
    std::vector<Dataset> out;
    for (const auto& [name, dataset] : t_.datasets) out.push_back(dataset);
    return out;
  }
  Found<std::string> FindDeletion(const std::string& request_id) override {
    base::MutexLock lock(mutex_);
    return FindIn(t_.deletions, request_id);
  }
  Rows<std::string> ListDeletions() override {
    base::MutexLock lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [request, answer] : t_.deletions) out.push_back(answer);
    return out;
  }
  absl::StatusOr<bool> WasCollected(const std::string& job, const std::string& kind) override {
    base::MutexLock lock(mutex_);
    return t_.collected.contains({job, kind});
  }
  Rows<std::string> CheckIntegrity() override { return std::vector<std::string>(); }
  absl::Status CopyTo(const std::string&) override {
    return absl::UnimplementedError("What is in memory alone cannot be copied to a file.");
  }

  Rows<Token> ListTokens(const std::string& after, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<Token> out;
    for (const auto& [name, token] : t_.tokens) {
      if (name > after && static_cast<int>(out.size()) < limit) out.push_back(token);
    }
    return out;
  }
  Rows<AuditEntry> ListAudit(const AuditFilter& filter, int limit) override {
    base::MutexLock lock(mutex_);
    std::vector<AuditEntry> out;
    for (auto entry = t_.audit.rbegin(); entry != t_.audit.rend(); ++entry) {
      if (static_cast<int>(out.size()) < limit && Takes(filter, *entry)) out.push_back(*entry);
    }
    return out;
  }

 private:
  static bool Takes(const AuditFilter& filter, const AuditEntry& entry) {
    const auto below = [](const std::string& name, const std::string& above) {
      return name == above || name.rfind(above + "/", 0) == 0;
    };
    return entry.number < filter.before && (filter.caller.empty() || entry.caller == filter.caller) &&
           (filter.method.empty() || entry.method == filter.method ||
            entry.method.substr(entry.method.find('/') + 1) == filter.method) &&
           (filter.target.empty() || below(entry.target, filter.target)) && entry.time >= filter.start &&
           entry.time < filter.end;
  }
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
  MemoryTables t_ ABSL_GUARDED_BY(mutex_);
  int64_t failed_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace

std::unique_ptr<Store> MakeMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace strata::store
