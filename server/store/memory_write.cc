#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/store/memory_tables.h"

namespace strata::store {
namespace {

absl::Status Taken(const std::string& what) {
  return absl::AlreadyExistsError(absl::StrCat("It is stored already (", what, ")."));
}
absl::Status Missing(const std::string& what) {
  return absl::InternalError(absl::StrCat("The store refuses it: there is no ", what, "."));
}

absl::Status Run(MemoryTables& t, const InsertExperiment& w) {
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

absl::Status Run(MemoryTables& t, const InsertTrial& w) {
  if (t.FindTrial(w.trial.name) != nullptr) return Taken(w.trial.name);
  if (std::none_of(t.experiments.begin(), t.experiments.end(),
                   [&](const auto& e) { return e.second.name == w.trial.experiment; })) {
    return Missing(w.trial.experiment);
  }
  t.trials.push_back(w.trial);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutJob& w) {
  if (t.FindTrial(w.job.trial) == nullptr) return Missing(w.job.trial);
  t.jobs[w.job.name] = w.job;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const LinkJob& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  if (t.FindTrial(w.trial) == nullptr) return Missing(w.trial);
  for (const auto& [leaf, job] : t.links[w.trial]) {
    if (leaf == w.leaf) return Taken(w.leaf);
  }
  t.links[w.trial].emplace_back(w.leaf, w.job);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutAttempt& w) {
  if (!t.jobs.contains(w.attempt.job)) return Missing(w.attempt.job);
  t.attempts[{w.attempt.job, w.attempt.number}].attempt = w.attempt;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutWorker& w) {
  t.workers[w.worker.name] = w.worker;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const EraseWorker& w) {
  t.workers.erase(w.name);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const RecordStart& w) {
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

absl::Status Run(MemoryTables& t, const AddWarning& w) {
  if (!t.attempts.contains({w.job, w.attempt})) return Missing(absl::StrCat(w.job, " attempt ", w.attempt));
  t.warnings[{w.job, w.attempt, w.seq}] = w.message;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const AdvanceCursor& w) {
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

absl::Status Run(MemoryTables& t, const PutScalars& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  for (const ScalarPoint& point : w.points)
    PutMeasured(t.scalars[{w.job, point.series, point.update}], w.attempt, point.value);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutVectors& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  for (const VectorPoint& point : w.points) {
    PutMeasured(t.vectors[{w.job, point.stack, point.series, point.update}], w.attempt, point.values);
  }
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const CopyMeasurements& w) {
  if (!t.jobs.contains(w.to)) return Missing(w.to);
  const auto scalars = t.scalars;
  for (const auto& [key, row] : scalars) {
    const auto& [job, name, step] = key;
    if (job == w.from && step <= w.last_update) t.scalars[{w.to, name, step}] = {0, row.value};
  }
  const auto vectors = t.vectors;
  for (const auto& [key, row] : vectors) {
    const auto& [job, stack, name, step] = key;
    if (job == w.from && step <= w.last_update) t.vectors[{w.to, stack, name, step}] = {0, row.value};
  }
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const UpdateTrial& w) {
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
  if (number(w.seconds_per_update)) trial->seconds_per_update = w.seconds_per_update;
  if (w.evidence.has_value()) trial->evidence = *w.evidence;
  if (w.weights_sha256.has_value()) trial->weights_sha256 = *w.weights_sha256;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const AddCheckpointEvent& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  t.checkpoint_events.insert({w.job, w.sha256});
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutDataset& w) {
  t.datasets[w.dataset.name] = w.dataset;
  t.dataset_files[w.dataset.name] = w.files;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const CompleteDatasetFile& w) {
  for (DatasetFile& file : t.dataset_files[w.dataset]) {
    if (file.path == w.path) file.complete = true;
  }
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const CompleteDataset& w) {
  const auto found = t.datasets.find(w.dataset);
  if (found != t.datasets.end()) found->second.complete = true;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutUpload& w) {
  if (!t.jobs.contains(w.upload.job)) return Missing(w.upload.job);
  if (!t.uploads.emplace(w.upload.id, w.upload).second) return Taken(w.upload.id);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const EraseUpload& w) {
  t.uploads.erase(w.id);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutArtifact& w) {
  for (const Artifact& artifact : t.artifacts) {
    if (artifact.name == w.artifact.name) return Taken(w.artifact.name);
  }
  t.artifacts.push_back(w.artifact);
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const EraseArtifact& w) {
  std::erase_if(t.artifacts, [&](const Artifact& artifact) { return artifact.name == w.name; });
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutToken& w) {
  for (const auto& [name, token] : t.tokens) {
    if (name != w.token.name && token.sha256 == w.token.sha256) return Taken(name);
  }
  t.tokens[w.token.name] = w.token;
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const AddAuditEntry& w) {
  t.audit.push_back(w.entry);
  t.audit.back().number = static_cast<int64_t>(t.audit.size());
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const EraseExperiments& w) { return Erase(t, w); }
absl::Status Run(MemoryTables& t, const EraseDataset& w) { return Erase(t, w); }

absl::Status Run(MemoryTables& t, const ReopenDatasetFile& w) {
  for (DatasetFile& file : t.dataset_files[w.dataset]) {
    if (file.path == w.path) file.complete = false;
  }
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const EraseVectors& w) {
  std::erase_if(t.vectors, [&](const auto& row) { return std::get<0>(row.first) == w.job; });
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const NoteCollected& w) {
  if (!t.jobs.contains(w.job)) return Missing(w.job);
  t.collected.insert({w.job, w.kind});
  return absl::OkStatus();
}

absl::Status Run(MemoryTables& t, const PutDeletion& w) {
  if (!t.deletions.emplace(w.request_id, w.answer).second) return Taken(w.request_id);
  return absl::OkStatus();
}

}  // namespace

absl::Status ApplyWrite(MemoryTables& tables, const Write& write) {
  return std::visit([&](const auto& w) { return Run(tables, w); }, write);
}

}  // namespace strata::store
