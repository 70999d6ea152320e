#include "server/service/checkpoints.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/service/names.h"

namespace strata::service {

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

void Checkpoints::Prune(const core::Job& job) {
  if (job.kind != core::JobKind::kTrain) return;
  const auto artifacts = coordinator_.store().ListArtifacts(job.trial);
  if (!artifacts.ok()) return;
  const bool over = job.state == core::JobState::kSucceeded || job.state == core::JobState::kDiverged;
  std::vector<store::Artifact> drop;
  std::map<std::string, int> kept;
  std::vector<store::Artifact> sorted = *artifacts;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.update > b.update; });
  for (const store::Artifact& artifact : sorted) {
    if (artifact.job != job.name) continue;
    if (artifact.kind == "checkpoint_resumable") {
      // Newer ones than the confirmed one do not count: their event may be lost yet.
      const bool newer = artifact.update > job.checkpoint_update;
      if (over || (!newer && ++kept[artifact.kind] > kResumableKept)) drop.push_back(artifact);
    } else if (artifact.kind == "checkpoint_best" && ++kept[artifact.kind] > 1) {
      drop.push_back(artifact);
    }
  }
  if (drop.empty()) return;
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    for (const store::Artifact& artifact : drop) change.Write(store::EraseArtifact{artifact.name});
    return absl::OkStatus();
  });
  if (!status.ok()) {
    spdlog::warn("Old checkpoints of {} were not deleted: {}", job.name, std::string(status.message()));
    return;
  }
  for (const store::Artifact& artifact : drop) unlink(folder_.artifact(artifact.name).c_str());
}

}  // namespace strata::service
