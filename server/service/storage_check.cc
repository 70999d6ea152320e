#include "server/service/storage_check.h"

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/service/garbage.h"
#include "server/service/inventory.h"

namespace strata::service {
namespace {

class Checker {
 public:
  Checker(store::Store& store, const DataFolder& folder, bool quick,
          const std::function<bool(const CheckProgress&)>& tell)
      : store_(store), folder_(folder), quick_(quick), tell_(tell) {}

  absl::Status Run() {
    const auto findings = store_.CheckIntegrity();
    if (!findings.ok()) return findings.status();
    for (const std::string& finding : *findings) Say(absl::StrCat("strata.db: ", finding, "."), false);
    const auto inventory = TakeInventory(store_, folder_);
    if (!inventory.ok()) return inventory.status();
    for (const auto& [name, artifact] : inventory->artifacts) {
      const std::string wrong = WhatIsWrong(folder_.artifact(name), artifact.bytes, artifact.sha256);
      if (wrong.empty()) continue;
      const auto still = store_.FindArtifact(name);
      if (!still.ok()) return still.status();
      if (still->has_value()) Say(absl::StrCat(name, " ", wrong), false);
    }
    for (const auto& [name, dataset] : inventory->datasets) {
      if (!dataset.complete) continue;
      if (absl::Status status = CheckDataset(dataset); !status.ok()) return status;
    }
    for (const StoredFile& file : inventory->files) {
      if (file.kind == "orphans" && file.changed < absl::Now() - GarbageCollector::kOrphanAge)
        Say(absl::StrCat(file.path, " has no row: 'strata gc' deletes it."), true);
    }
    return stopped_ ? absl::CancelledError("The check was ended.") : absl::OkStatus();
  }

 private:
  absl::Status CheckDataset(const store::Dataset& dataset) {
    const auto rows = store_.FilesOfDataset(dataset.name);
    if (!rows.ok()) return rows.status();
    std::vector<std::pair<std::string, std::string>> wrong;
    for (const store::DatasetFile& row : *rows) {
      const std::string what = WhatIsWrong(folder_.dataset(dataset.name) + "/" + row.path, row.bytes, row.sha256);
      if (!what.empty()) wrong.emplace_back(row.path, what);
    }
    const auto manifest = base::ReadFile(folder_.dataset(dataset.name) + "/manifest.json");
    if (!manifest.ok() || *manifest != dataset.manifest)
      wrong.emplace_back("manifest.json", "is missing or another one.");
    if (wrong.empty()) return absl::OkStatus();
    const auto still = store_.FindDataset(dataset.name);
    if (!still.ok()) return still.status();
    if (!still->has_value()) return absl::OkStatus();
    for (const auto& [path, what] : wrong) {
      Say(absl::StrCat("datasets/", dataset.name, "/", path, " ", what,
                       " 'strata data add' of the same dataset puts it right."),
          false);
    }
    return absl::OkStatus();
  }

  // A clause; empty: nothing.
  std::string WhatIsWrong(const std::string& path, int64_t bytes, const std::string& sha256) {
    if (stopped_) return "";
    ++progress_.files;
    std::error_code error;
    std::string wrong;
    if (!std::filesystem::exists(path, error)) {
      wrong = "is missing.";
    } else if (base::FileSize(path) != bytes) {
      wrong = absl::StrCat("has ", base::FileSize(path), " bytes, not ", bytes, ".");
    } else if (!quick_) {
      const auto hash = base::Sha256OfFile(path);
      progress_.bytes += bytes;
      if (!hash.ok()) wrong = absl::StrCat("cannot be read: ", hash.status().message());
      if (hash.ok() && *hash != sha256) wrong = absl::StrCat("is damaged: its hash is ", *hash, ", not ", sha256, ".");
    }
    if (!tell_(progress_)) stopped_ = true;
    return wrong;
  }

  void Say(const std::string& finding, bool harmless) {
    CheckProgress said = progress_;
    said.finding = finding;
    said.harmless = harmless;
    if (!stopped_ && !tell_(said)) stopped_ = true;
  }

  store::Store& store_;
  const DataFolder& folder_;
  const bool quick_;
  const std::function<bool(const CheckProgress&)>& tell_;
  CheckProgress progress_;
  bool stopped_ = false;
};

}  // namespace

absl::Status CheckStorage(store::Store& store, const DataFolder& folder, bool quick,
                          const std::function<bool(const CheckProgress&)>& tell) {
  return Checker(store, folder, quick, tell).Run();
}

}  // namespace strata::service
