#include "server/service/inventory.h"

#include <fts.h>
#include <sys/stat.h>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/file.h"

namespace strata::service {
namespace {

constexpr int kPage = 1000;

absl::Time Moment(const timespec& time) { return absl::TimeFromTimespec(time); }

// Every file below `root`. What vanishes meanwhile is left out.
absl::Status Walk(const std::string& root, Inventory& inventory) {
  std::string path = root;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  const size_t head = path.size() + 1;
  char* const roots[] = {path.data(), nullptr};
  FTS* const walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, [](const FTSENT** a, const FTSENT** b) {
    return std::string_view((*a)->fts_name).compare((*b)->fts_name);
  });
  if (walk == nullptr) return base::FileError(errno, "list", root);
  std::set<std::pair<dev_t, ino_t>> seen;
  absl::Status status;
  while (const FTSENT* entry = fts_read(walk)) {
    if (entry->fts_info == FTS_D) {
      inventory.folder_bytes += entry->fts_statp->st_size;
    } else if (entry->fts_info == FTS_DNR) {
      status = base::FileError(entry->fts_errno, "list", entry->fts_path);
    }
    if (entry->fts_info != FTS_F) continue;
    const struct stat& info = *entry->fts_statp;
    const bool shared = info.st_nlink > 1 && !seen.insert({info.st_dev, info.st_ino}).second;
    inventory.files.push_back({.path = std::string(entry->fts_path).substr(head),
                               .bytes = info.st_size,
                               .changed = std::max(Moment(info.st_mtim), Moment(info.st_ctim)),
                               .shared = shared});
  }
  fts_close(walk);
  return status;
}

absl::Status ReadRows(store::Store& store, Inventory& inventory) {
  const auto artifacts = AllArtifacts(store);
  if (!artifacts.ok()) return artifacts.status();
  for (const store::Artifact& artifact : *artifacts) inventory.artifacts[artifact.name] = artifact;
  auto datasets = store.ListAllDatasets();
  if (!datasets.ok()) return datasets.status();
  for (store::Dataset& dataset : *datasets) inventory.datasets[dataset.name] = std::move(dataset);
  const auto jobs = store.ListJobs(std::numeric_limits<int64_t>::min(), std::numeric_limits<int>::max());
  if (!jobs.ok()) return jobs.status();
  for (const core::Job& job : *jobs) inventory.jobs[job.name] = job;
  return absl::OkStatus();
}

// What a file is, and whose.
class Matcher {
 public:
  Matcher(const Inventory& inventory, const std::vector<store::Upload>& uploads, store::Store& store)
      : inventory_(inventory), store_(store) {
    for (const store::Upload& upload : uploads) uploads_.insert(upload.id);
  }

  absl::Status Match(StoredFile& file) {
    const std::vector<std::string> parts = absl::StrSplit(file.path, '/');
    file.kind = "other";
    if (parts.size() == 1) {
      if (absl::StartsWith(file.path, "strata.db") && !absl::StartsWith(file.path, "strata.db.v"))
        file.kind = "database";
      if (absl::EndsWith(file.path, ".tmp")) file.kind = "orphans";
    } else if (parts[0] == "backups") {
      file.kind = "backups";
    } else if (parts[0] == "uploads") {
      file.kind = uploads_.contains(parts[1]) ? "uploads" : "orphans";
    } else if (parts[0] == "artifacts") {
      Artifact(parts, file);
    } else if (parts[0] == "logs") {
      Log(parts, file);
    } else if (parts[0] == "datasets") {
      return Dataset(parts, file);
    }
    return absl::OkStatus();
  }

 private:
  void Artifact(const std::vector<std::string>& parts, StoredFile& file) {
    file.kind = "orphans";
    file.owner = "experiments/" + parts[1];
    if (parts.size() != 4) return;
    const auto row = inventory_.artifacts.find(
        absl::StrCat("experiments/", parts[1], "/trials/", parts[2], "/artifacts/", parts[3]));
    if (row == inventory_.artifacts.end()) return;
    const std::string& kind = row->second.kind;
    file.kind = kind == "checkpoint_resumable"          ? "checkpoints"
                : absl::StartsWith(kind, "checkpoint_") ? "weights"
                                                        : "files";
  }

  void Log(const std::vector<std::string>& parts, StoredFile& file) {
    file.kind = "orphans";
    file.owner = "experiments/" + parts[1];
    if (parts.size() != 5 || !absl::EndsWith(parts[4], ".log")) return;
    const std::string job = absl::StrCat("experiments/", parts[1], "/trials/", parts[2], "/jobs/", parts[3]);
    if (!inventory_.jobs.contains(job)) return;
    file.kind = "logs";
    file.job = job;
  }

  absl::Status Dataset(const std::vector<std::string>& parts, StoredFile& file) {
    file.kind = "orphans";
    const bool arriving = parts[1] == ".incoming";
    if (parts.size() < (arriving ? 4u : 3u)) return absl::OkStatus();
    const std::string& name = parts[arriving ? 2 : 1];
    file.owner = "datasets/" + name;
    if (!inventory_.datasets.contains(name)) return absl::OkStatus();
    const auto known = files_.find(name);
    if (known == files_.end()) {
      const auto rows = store_.FilesOfDataset(name);
      if (!rows.ok()) return rows.status();
      std::set<std::string>& paths = files_[name];
      paths.insert("manifest.json");
      for (const store::DatasetFile& row : *rows) paths.insert(row.path);
    }
    const std::string head = absl::StrCat("datasets/", arriving ? ".incoming/" : "", name, "/");
    if (files_[name].contains(file.path.substr(head.size()))) file.kind = arriving ? "uploads" : "dataset";
    return absl::OkStatus();
  }

  const Inventory& inventory_;
  store::Store& store_;
  std::set<std::string> uploads_;
  std::map<std::string, std::set<std::string>> files_;  // paths of a dataset
};

}  // namespace

absl::StatusOr<std::vector<store::Artifact>> AllArtifacts(store::Store& store) {
  std::vector<store::Artifact> all;
  for (;;) {
    auto page = store.ListAllArtifacts(all.empty() ? "" : all.back().name, kPage);
    if (!page.ok()) return page.status();
    const bool last = page->size() < static_cast<size_t>(kPage);
    all.insert(all.end(), std::make_move_iterator(page->begin()), std::make_move_iterator(page->end()));
    if (last) return all;
  }
}

absl::StatusOr<Inventory> TakeInventory(store::Store& store, const DataFolder& folder) {
  Inventory inventory;
  if (absl::Status status = Walk(folder.path(), inventory); !status.ok()) return status;
  if (absl::Status status = ReadRows(store, inventory); !status.ok()) return status;
  const auto uploads = store.ListUploads();
  if (!uploads.ok()) return uploads.status();
  Matcher matcher(inventory, *uploads, store);
  for (StoredFile& file : inventory.files) {
    if (absl::Status status = matcher.Match(file); !status.ok()) return status;
  }
  return inventory;
}

}  // namespace strata::service
