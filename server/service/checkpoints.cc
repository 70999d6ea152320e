#include "server/service/checkpoints.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/spec/spec.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

// Latest update first; of one update the newest first.
std::vector<store::Artifact> ByUpdate(std::vector<store::Artifact> newest_first) {
  std::stable_sort(newest_first.begin(), newest_first.end(),
                   [](const auto& a, const auto& b) { return a.update > b.update; });
  return newest_first;
}

// Epochs' weights of a job, the last first, one an update.
std::vector<store::Artifact> EpochsByUpdate(const std::vector<store::Artifact>& newest_first, const std::string& job) {
  std::vector<store::Artifact> epochs;
  for (const store::Artifact& artifact : ByUpdate(newest_first)) {
    if (artifact.job != job || artifact.kind != "checkpoint_epoch") continue;
    if (epochs.empty() || epochs.back().update != artifact.update) epochs.push_back(artifact);
  }
  return epochs;
}

}  // namespace

absl::Status Checkpoints::Confirm(const std::string& job, int32_t attempt, const std::string& sha256) {
  const auto event = coordinator_.store().HasCheckpointEvent(job, sha256);
  if (!event.ok()) return event.status();
  if (!*event) return absl::OkStatus();
  const auto artifacts = coordinator_.store().ListArtifacts(ParentOf(job));
  if (!artifacts.ok()) return artifacts.status();
  for (const store::Artifact& artifact : *artifacts) {
    if (artifact.job != job || artifact.sha256 != sha256 || artifact.kind != "checkpoint_resumable") continue;
    return coordinator_.Update([&](Coordinator::Change& change) {
      return change.Step(core::CheckpointAcknowledged{job, attempt, artifact.update});
    });
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<store::Artifact>> Checkpoints::StartOf(const core::Job& job,
                                                                    const std::string& evaluated_weights) {
  if (job.kind == core::JobKind::kTrain && job.checkpoint_update < 0) return std::nullopt;
  if (job.kind == core::JobKind::kProbe) return std::nullopt;
  const std::string trained = job.kind == core::JobKind::kTrain ? job.name : job.upstream;
  const auto artifacts = coordinator_.store().ListArtifacts(ParentOf(trained));
  if (!artifacts.ok()) return artifacts.status();
  for (const store::Artifact& artifact : *artifacts) {  // newest first
    if (artifact.job != trained) continue;
    const bool wanted = job.kind == core::JobKind::kTrain
                            ? artifact.kind == "checkpoint_resumable" && artifact.update == job.checkpoint_update
                            : artifact.kind == "checkpoint_" + evaluated_weights;
    if (wanted) return artifact;
  }
  return std::nullopt;
}

absl::StatusOr<std::vector<store::Artifact>> Checkpoints::EpochsOf(const core::Job& job, int count) {
  const auto artifacts = coordinator_.store().ListArtifacts(ParentOf(job.upstream));
  if (!artifacts.ok()) return artifacts.status();
  std::vector<store::Artifact> epochs = EpochsByUpdate(*artifacts, job.upstream);
  if (epochs.size() > static_cast<size_t>(count)) epochs.resize(static_cast<size_t>(count));
  std::reverse(epochs.begin(), epochs.end());
  return epochs;
}

size_t Checkpoints::ResumableKept(const core::Job& job, const store::Trial& trial) const {
  const bool to_the_end = trial.updates_done >= trial.updates;
  if (job.state == core::JobState::kSucceeded || job.state == core::JobState::kDiverged) return to_the_end ? 1 : 0;
  return kResumableKept;
}

void Checkpoints::Prune(const core::Job& job) {
  if (job.kind != core::JobKind::kTrain) return;
  const auto artifacts = coordinator_.store().ListArtifacts(job.trial);
  const auto trial = coordinator_.store().FindTrial(job.trial);
  if (!artifacts.ok() || !trial.ok() || !trial->has_value()) return;
  const size_t most = ResumableKept(job, **trial);
  size_t kept = 0;
  std::vector<store::Artifact> drop;
  for (const store::Artifact& artifact : ByUpdate(*artifacts)) {
    // Newer ones than the confirmed one do not count: their event may be lost yet.
    if (artifact.job != job.name || artifact.kind != "checkpoint_resumable") continue;
    const bool newer = artifact.update > job.checkpoint_update && most == kResumableKept;
    if (!newer && ++kept > most) drop.push_back(artifact);
  }
  // Newest first as they came, not by update: what an attempt measured beyond its last checkpoint does not count once
  // another has gone on from there.
  bool best_kept = false;
  for (const store::Artifact& artifact : *artifacts) {
    if (artifact.job != job.name || artifact.kind != "checkpoint_best") continue;
    if (std::exchange(best_kept, true)) drop.push_back(artifact);
  }
  const std::vector<store::Artifact> epochs = EpochsByUpdate(*artifacts, job.name);
  const auto spec = base::FromJson((*trial)->spec_json);
  const auto wanted = static_cast<size_t>(spec.ok() ? spec->train().keep_epoch_checkpoints() : 0);
  for (size_t i = wanted; i < epochs.size(); ++i) drop.push_back(epochs[i]);
  if (const absl::Status status = Delete(drop); !status.ok())
    spdlog::warn("Old checkpoints of {} were not deleted: {}", job.name, std::string(status.message()));
}

absl::StatusOr<std::optional<int32_t>> Checkpoints::AfterDamage(const std::string& job, int32_t attempt) {
  const auto row = coordinator_.store().FindJob(job);
  if (!row.ok()) return row.status();
  if (!row->has_value() || (*row)->checkpoint_update < 0) return std::nullopt;
  const int32_t newest = (*row)->checkpoint_update;
  const auto attempts = coordinator_.store().AttemptsOfJob(job);
  if (!attempts.ok()) return attempts.status();
  for (const store::AttemptRecord& record : *attempts) {
    if (record.attempt.number != attempt || record.environment.empty()) continue;
    if (newest > record.resumed_from.value_or(-1)) return newest;
  }
  // It began with the newest, or did not come to begin.
  const auto older = IntactBefore(job, newest);
  if (!older.ok()) return older.status();
  return *older;
}

absl::StatusOr<int32_t> Checkpoints::IntactBefore(const std::string& job, int32_t update) {
  const auto artifacts = coordinator_.store().ListArtifacts(ParentOf(job));
  if (!artifacts.ok()) return artifacts.status();
  int32_t intact = -1;
  std::vector<store::Artifact> damaged;
  for (const store::Artifact& artifact : ByUpdate(*artifacts)) {
    if (artifact.job != job || artifact.kind != "checkpoint_resumable") continue;
    const auto hash = base::Sha256OfFile(folder_.artifact(artifact.name));
    if (!hash.ok() && !absl::IsNotFound(hash.status())) return hash.status();
    const bool whole = hash.ok() && *hash == artifact.sha256;
    if (!whole) damaged.push_back(artifact);
    if (!whole || artifact.update >= update) continue;
    intact = artifact.update;
    break;
  }
  if (damaged.empty()) return intact;
  for (const store::Artifact& artifact : damaged) spdlog::warn("The checkpoint {} is damaged.", artifact.name);
  if (const absl::Status status = Delete(damaged); !status.ok()) return status;
  return intact;
}

absl::Status Checkpoints::Delete(const std::vector<store::Artifact>& artifacts) {
  if (artifacts.empty()) return absl::OkStatus();
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    for (const store::Artifact& artifact : artifacts) change.Write(store::EraseArtifact{artifact.name});
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  for (const store::Artifact& artifact : artifacts) unlink(folder_.artifact(artifact.name).c_str());
  return absl::OkStatus();
}

}  // namespace strata::service
