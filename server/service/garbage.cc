#include "server/service/garbage.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

namespace fs = std::filesystem;

constexpr int kMostShown = 10000;

v1::Garbage Shown(const std::string& kind, const std::string& name, int64_t bytes, const std::string& why,
                  const std::string& lost = "") {
  v1::Garbage garbage;
  garbage.set_kind(kind);
  garbage.set_name(name);
  garbage.set_bytes(bytes);
  garbage.set_why(why);
  garbage.set_lost(lost);
  return garbage;
}

bool EndedBefore(const core::Job& job, absl::Time then) { return core::IsFinal(job.state) && job.end_time < then; }

std::string EndedOn(const core::Job& job) {
  return absl::StrCat(LeafOf(job.name), " ended ", absl::FormatTime("%Y-%m-%d", job.end_time, absl::UTCTimeZone()));
}

// e-1/t1 of experiments/e-1/trials/t1.
std::string Short(const std::string& trial) { return absl::StrCat(LeafOf(ParentOf(trial)), "/", LeafOf(trial)); }

}  // namespace

void GarbageCollector::FindOrphans(const Inventory& inventory, Items& items) const {
  const absl::Time now = coordinator_.now();
  for (const StoredFile& file : inventory.files) {
    const std::string path = absl::StrCat(folder_.path(), "/", file.path);
    if (file.kind == "orphans" && file.changed < now - kOrphanAge) {
      items.push_back({.shown = Shown("orphan", file.path, file.bytes, "no row names it"), .paths = {path}});
    } else if (file.kind == "backups" && file.changed < now - kArrivalAge) {
      items.push_back({.shown = Shown("orphan", file.path, file.shared ? 0 : file.bytes, "a backup that was not ended"),
                       .paths = {path}});
    }
  }
}

absl::Status GarbageCollector::FindUploads(const Inventory& inventory, Items& items) const {
  const absl::Time old = coordinator_.now() - kArrivalAge;
  std::map<std::string, const StoredFile*> files;
  for (const StoredFile& file : inventory.files) {
    if (file.kind == "uploads" && absl::StartsWith(file.path, "uploads/")) files[file.path.substr(8)] = &file;
  }
  const auto uploads = coordinator_.store().ListUploads();
  if (!uploads.ok()) return uploads.status();
  for (const store::Upload& upload : *uploads) {
    const auto file = files.find(upload.id);
    if (file != files.end() && file->second->changed >= old) continue;
    const int64_t bytes = file == files.end() ? 0 : file->second->bytes;
    items.push_back({.shown = Shown("upload", absl::StrCat("uploads/", upload.id), bytes,
                                    absl::StrCat("nothing of ", upload.file_name, " has arrived for a day")),
                     .upload_job = upload.job,
                     .attempt = upload.attempt,
                     .writes = {store::EraseUpload{upload.id}},
                     .paths = {folder_.upload(upload.id)}});
  }
  return absl::OkStatus();
}

void GarbageCollector::FindHalfArrived(const Inventory& inventory, Items& items) const {
  const absl::Time old = coordinator_.now() - kArrivalAge;
  std::map<std::string, std::pair<int64_t, absl::Time>> arriving;  // bytes, last change
  for (const StoredFile& file : inventory.files) {
    if (!absl::StartsWith(file.path, "datasets/.incoming/") || !absl::StartsWith(file.owner, "datasets/")) continue;
    auto& [bytes, changed] = arriving.try_emplace(LeafOf(file.owner), 0, absl::InfinitePast()).first->second;
    bytes += file.bytes;
    changed = std::max(changed, file.changed);
  }
  for (const auto& [name, dataset] : inventory.datasets) {
    const auto found = arriving.find(name);
    if (found == arriving.end() && dataset.complete) continue;
    const absl::Time changed = found == arriving.end() ? dataset.create_time : found->second.second;
    if (changed >= old) continue;
    Item item{.shown = Shown("dataset", "datasets/" + name, found == arriving.end() ? 0 : found->second.first,
                             "nothing of it has arrived for a day, and it is not whole"),
              .paths = {folder_.incoming_dataset(name)}};
    if (!dataset.complete) item.writes.push_back(store::EraseDataset{name, /*though_used=*/true});
    items.push_back(std::move(item));
  }
}

void GarbageCollector::FindCheckpoints(const Inventory& inventory, const Retention& retention, Items& items) const {
  const absl::Time now = coordinator_.now();
  std::set<std::string> needed;  // jobs whose weights an evaluation has still to score
  for (const auto& [name, job] : inventory.jobs) {
    if (!job.upstream.empty() && job.state != core::JobState::kSucceeded) needed.insert(job.upstream);
  }
  for (const auto& [name, artifact] : inventory.artifacts) {
    const bool resumable = artifact.kind == "checkpoint_resumable";
    if (!resumable && artifact.kind != "checkpoint_epoch") continue;
    const auto job = inventory.jobs.find(artifact.job);
    if (job == inventory.jobs.end()) continue;
    if (!EndedBefore(job->second, now - (resumable ? retention.resumable : retention.epochs))) continue;
    if (!resumable && needed.contains(artifact.job)) continue;
    const bool result =
        job->second.state == core::JobState::kSucceeded || job->second.state == core::JobState::kDiverged;
    const std::string trial = Short(artifact.trial);
    const std::string lost = !resumable ? absl::StrCat(trial, " can be scored with checkpoint: average no more")
                             : result   ? absl::StrCat(trial, " cannot be extended any more")
                                        : absl::StrCat(trial, " begins anew if it is tried again");
    Item item{.shown = Shown(resumable ? "resumable" : "epochs", name, artifact.bytes, EndedOn(job->second), lost),
              .job = artifact.job,
              .writes = {store::EraseArtifact{name}},
              .paths = {folder_.artifact(name)}};
    if (!resumable) item.writes.push_back(store::NoteCollected{artifact.job, artifact.kind, now});
    items.push_back(std::move(item));
  }
}

void GarbageCollector::FindLogs(const Inventory& inventory, const Retention& retention, Items& items) const {
  for (const StoredFile& file : inventory.files) {
    if (file.kind != "logs") continue;
    const core::Job& job = inventory.jobs.at(file.job);
    if (!EndedBefore(job, coordinator_.now() - retention.logs)) continue;
    items.push_back({.shown = Shown("logs", file.path, file.bytes, EndedOn(job), "'strata logs' shows it no more"),
                     .job = file.job,
                     .paths = {absl::StrCat(folder_.path(), "/", file.path)}});
  }
}

absl::Status GarbageCollector::FindVectors(const Inventory& inventory, const Retention& retention, Items& items) const {
  if (retention.vectors == absl::InfiniteDuration()) return absl::OkStatus();
  const auto sizes = coordinator_.store().MeasurementSizes("");
  if (!sizes.ok()) return sizes.status();
  for (const store::MeasurementSize& size : *sizes) {
    const auto job = inventory.jobs.find(size.job);
    if (size.vectors == 0 || job == inventory.jobs.end()) continue;
    if (!EndedBefore(job->second, coordinator_.now() - retention.vectors)) continue;
    items.push_back({.shown = Shown("vectors", size.job, size.vector_bytes, EndedOn(job->second),
                                    absl::StrCat(Short(job->second.trial), " has no curves by layer any more")),
                     .job = size.job,
                     .writes = {store::EraseVectors{size.job}}});
  }
  return absl::OkStatus();
}

absl::Status GarbageCollector::FindDatasets(const Inventory& inventory, const Retention& retention,
                                            Items& items) const {
  std::map<std::string, int64_t> bytes;
  for (const StoredFile& file : inventory.files) {
    if (file.kind == "dataset") bytes[LeafOf(file.owner)] += file.bytes;
  }
  for (const auto& [name, dataset] : inventory.datasets) {
    if (!dataset.complete || dataset.create_time >= coordinator_.now() - retention.datasets) continue;
    const auto users = coordinator_.store().ExperimentsOfDataset(name);
    if (!users.ok()) return users.status();
    if (!users->empty()) continue;
    items.push_back({.shown = Shown("datasets", "datasets/" + name, bytes[name], "no experiment refers to it",
                                    "it has to be added again before it can be used"),
                     .writes = {store::EraseDataset{name}},
                     .paths = {folder_.dataset(name)}});
  }
  return absl::OkStatus();
}

absl::Status GarbageCollector::Find(const Retention& retention, Items& items) {
  const auto inventory = TakeInventory(coordinator_.store(), folder_);
  if (!inventory.ok()) return inventory.status();
  FindOrphans(*inventory, items);
  if (absl::Status status = FindUploads(*inventory, items); !status.ok()) return status;
  FindHalfArrived(*inventory, items);
  FindCheckpoints(*inventory, retention, items);
  FindLogs(*inventory, retention, items);
  if (absl::Status status = FindVectors(*inventory, retention, items); !status.ok()) return status;
  return FindDatasets(*inventory, retention, items);
}

absl::Status GarbageCollector::Remove(const Item& item) {
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    const auto& jobs = change.controller().state().jobs;
    const auto job = jobs.find(item.job);
    if (!item.job.empty() && (job == jobs.end() || !core::IsFinal(job->second.state)))
      return absl::FailedPreconditionError("it is needed again");
    if (!item.upload_job.empty() && change.controller().CheckAttempt(item.upload_job, item.attempt).ok())
      return absl::FailedPreconditionError("its attempt lives");
    const bool retried_anew = item.shown.kind() == "resumable" && (job->second.state == core::JobState::kFailed ||
                                                                   job->second.state == core::JobState::kCancelled);
    if (retried_anew && job->second.checkpoint_update >= 0) change.ForgetCheckpoint(item.job);
    for (const store::Write& write : item.writes) change.Write(write);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  for (const std::string& path : item.paths) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return base::FileError(error.value(), "delete", path);
  }
  return absl::OkStatus();
}

absl::Status GarbageCollector::Collect(const Retention& retention, bool dry_run, v1::CollectGarbageResponse& response) {
  base::MutexLock lock(datasets_);
  Items items;
  if (absl::Status status = Find(retention, items); !status.ok()) return status;
  response.set_retention(RetentionText(retention));
  for (Item& item : items) {
    if (!dry_run) {
      const absl::Status status = Remove(item);
      if (absl::IsFailedPrecondition(status)) continue;
      if (!status.ok()) {
        if (response.left_size() < kMostShown)
          response.add_left(absl::StrCat(item.shown.name(), ": ", status.message()));
        continue;
      }
    } else if (!item.upload_job.empty()) {
      const absl::Status lives = coordinator_.Look(
          [&](const core::Controller& controller) { return controller.CheckAttempt(item.upload_job, item.attempt); });
      if (lives.ok()) continue;
    }
    response.set_count(response.count() + 1);
    response.set_bytes(response.bytes() + item.shown.bytes());
    if (response.garbage_size() < kMostShown) *response.add_garbage() = std::move(item.shown);
  }
  return absl::OkStatus();
}

}  // namespace strata::service
