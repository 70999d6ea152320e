#include "server/service/backup.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/service/inventory.h"
#include "server/store/sqlite_store.h"

namespace strata::service {
namespace {

namespace fs = std::filesystem;

constexpr int kTries = 5;

v1::BackupFile FileRow(const std::string& path, int64_t bytes, const std::string& sha256) {
  v1::BackupFile file;
  file.set_path(path);
  file.set_bytes(bytes);
  file.set_sha256(sha256);
  return file;
}

absl::Status Link(const std::string& from, const std::string& to) {
  if (absl::Status status = base::MakeFolders(fs::path(to).parent_path().string()); !status.ok()) return status;
  if (::link(from.c_str(), to.c_str()) != 0 && errno != EEXIST) return base::FileError(errno, "link", from);
  return absl::OkStatus();
}

// What has not arrived whole is not part of a backup: its files are not.
absl::Status DropArrivals(store::Store& copy) {
  store::Transaction transaction;
  const auto uploads = copy.ListUploads();
  if (!uploads.ok()) return uploads.status();
  for (const store::Upload& upload : *uploads) transaction.writes.push_back(store::EraseUpload{upload.id});
  const auto datasets = copy.ListAllDatasets();
  if (!datasets.ok()) return datasets.status();
  for (const store::Dataset& dataset : *datasets) {
    if (!dataset.complete) transaction.writes.push_back(store::EraseDataset{dataset.name, /*though_used=*/true});
  }
  return copy.Apply(std::move(transaction));
}

}  // namespace

void Backups::Sweep() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_.backup(""), ignored)) fs::remove_all(entry.path(), ignored);
}

absl::Status Backups::LinkLogs(store::Store& copy, const std::string& place, Files& files) {
  const auto jobs = copy.ListJobs(std::numeric_limits<int64_t>::min(), std::numeric_limits<int>::max());
  if (!jobs.ok()) return jobs.status();
  for (const core::Job& job : *jobs) {
    for (int32_t attempt = 1; attempt <= job.attempts; ++attempt) {
      const std::string from = folder_.log(job.name, attempt);
      const std::string path = from.substr(folder_.path().size() + 1);
      const absl::Status status = Link(from, absl::StrCat(place, "/", path));
      if (absl::IsNotFound(status)) continue;  // nothing was logged, or it went by its age
      if (!status.ok()) return status;
      // Such as it is now: what is appended later is not read.
      files[path] = FileRow(path, base::FileSize(absl::StrCat(place, "/", path)), "");
    }
  }
  return absl::OkStatus();
}

absl::Status Backups::LinkAll(store::Store& copy, const std::string& place, Files& files,
                              std::vector<std::string>& missing) {
  const auto keep = [&](const std::string& from, int64_t bytes, const std::string& sha256) -> absl::StatusOr<bool> {
    const std::string path = from.substr(folder_.path().size() + 1);
    const absl::Status status = Link(from, absl::StrCat(place, "/", path));
    if (!status.ok() && !absl::IsNotFound(status)) return status;
    if (!status.ok() || base::FileSize(from) != bytes) return false;
    files[path] = FileRow(path, bytes, sha256);
    return true;
  };
  const auto artifacts = AllArtifacts(copy);
  if (!artifacts.ok()) return artifacts.status();
  for (const store::Artifact& artifact : *artifacts) {
    const auto kept = keep(folder_.artifact(artifact.name), artifact.bytes, artifact.sha256);
    if (!kept.ok()) return kept.status();
    if (*kept) continue;
    const auto still = store_.FindArtifact(artifact.name);
    if (!still.ok()) return still.status();
    if (!still->has_value()) return absl::AbortedError(absl::StrCat(artifact.name, " was deleted just now."));
    missing.push_back(artifact.name);
  }
  const auto datasets = copy.ListAllDatasets();
  if (!datasets.ok()) return datasets.status();
  for (const store::Dataset& dataset : *datasets) {
    auto rows = copy.FilesOfDataset(dataset.name);
    if (!rows.ok()) return rows.status();
    const std::string manifest = folder_.dataset(dataset.name) + "/manifest.json";
    if (const auto hash = base::Sha256OfFile(manifest); hash.ok())
      rows->push_back({"manifest.json", base::FileSize(manifest), *hash, true});
    for (const store::DatasetFile& row : *rows) {
      const auto kept = keep(absl::StrCat(folder_.dataset(dataset.name), "/", row.path), row.bytes, row.sha256);
      if (!kept.ok()) return kept.status();
      if (*kept) continue;
      const auto still = store_.FindDataset(dataset.name);
      if (!still.ok()) return still.status();
      if (!still->has_value()) return absl::AbortedError(absl::StrCat(dataset.name, " was deleted just now."));
      missing.push_back(absl::StrCat("datasets/", dataset.name, "/", row.path));
    }
  }
  return LinkLogs(copy, place, files);
}

absl::Status Backups::Take(const std::string& place, Files& files, std::vector<std::string>& missing) {
  if (absl::Status status = base::MakeFolders(place); !status.ok()) return status;
  const std::string database = place + "/strata.db";
  if (absl::Status status = store_.CopyTo(database); !status.ok()) return status;
  {
    auto copy = store::OpenSqliteStore(database);
    if (!copy.ok()) return copy.status();
    if (absl::Status status = DropArrivals(**copy); !status.ok()) return status;
    if (absl::Status status = LinkAll(**copy, place, files, missing); !status.ok()) return status;
  }
  unlink((database + ".lock").c_str());
  const auto hash = base::Sha256OfFile(database);
  if (!hash.ok()) return hash.status();
  files["strata.db"] = FileRow("strata.db", base::FileSize(database), *hash);
  return absl::OkStatus();
}

absl::Status Backups::Begin(v1::BeginBackupResponse& response) {
  for (int i = 1;; ++i) {
    const std::string id = base::RandomHex(8);
    auto files = std::make_shared<Files>();
    std::vector<std::string> missing;
    const absl::Time time = absl::Now();
    const absl::Status status = Take(folder_.backup(id), *files, missing);
    if (!status.ok()) {
      std::error_code ignored;
      fs::remove_all(folder_.backup(id), ignored);
      if (absl::IsAborted(status) && i < kTries) continue;
      return status;
    }
    response.set_backup_id(id);
    response.mutable_time()->set_seconds(absl::ToUnixSeconds(time));
    response.set_files(static_cast<int64_t>(files->size()));
    for (const auto& [path, file] : *files) response.set_bytes(response.bytes() + file.bytes());
    for (const std::string& name : missing) response.add_missing(name);
    base::MutexLock lock(mutex_);
    open_[id] = std::move(files);
    return absl::OkStatus();
  }
}

absl::StatusOr<std::shared_ptr<const Backups::Files>> Backups::FilesOf(const std::string& id) {
  base::MutexLock lock(mutex_);
  const auto found = open_.find(id);
  if (found != open_.end()) return found->second;
  return absl::NotFoundError(
      absl::StrCat("There is no backup ", id,
                   ": it was ended, or the coordinator has started anew. Begin another one; files that "
                   "have been fetched are not fetched again."));
}

absl::StatusOr<std::vector<v1::BackupFile>> Backups::List(const std::string& id, size_t from, size_t most) {
  const auto files = FilesOf(id);
  if (!files.ok()) return files.status();
  std::vector<v1::BackupFile> page;
  size_t place = 0;
  for (const auto& [path, file] : **files) {
    if (place++ >= from && page.size() < most) page.push_back(file);
  }
  return page;
}

absl::StatusOr<std::pair<std::string, int64_t>> Backups::Find(const std::string& id, const std::string& path) {
  const auto files = FilesOf(id);
  if (!files.ok()) return files.status();
  const auto found = (*files)->find(path);
  if (found == (*files)->end())
    return absl::NotFoundError(absl::StrCat("The backup ", id, " holds no file ", path, "."));
  return std::pair(absl::StrCat(folder_.backup(id), "/", path), found->second.bytes());
}

void Backups::End(const std::string& id) {
  {
    base::MutexLock lock(mutex_);
    if (open_.erase(id) == 0) return;  // an id that is none of ours is no path either
  }
  std::error_code ignored;
  fs::remove_all(folder_.backup(id), ignored);
}

}  // namespace strata::service
