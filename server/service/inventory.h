// What lies in the coordinator's folder, and whose it is: every file, matched with the rows that name it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/service/data_folder.h"
#include "server/store/store.h"

namespace strata::service {

struct StoredFile {
  std::string path;  // within the folder
  int64_t bytes = 0;
  absl::Time changed;   // last written, renamed or linked
  bool shared = false;  // another path before it in the list is the same file
  // checkpoints, weights, files, logs, dataset, uploads, orphans, database, backups or other.
  std::string kind;
  // experiments/E or datasets/NAME, whether or not there is such a row; empty: nobody's.
  std::string owner;
  std::string job;  // of a log
};

struct Inventory {
  std::vector<StoredFile> files;                     // by path
  int64_t folder_bytes = 0;                          // of the folders themselves
  std::map<std::string, store::Artifact> artifacts;  // rows by name
  std::map<std::string, store::Dataset> datasets;    // rows by name, without datasets/
  std::map<std::string, core::Job> jobs;             // rows by name
};

// Looks at the folder first and at the rows then, so that what arrives meanwhile is not taken for nobody's.
absl::StatusOr<Inventory> TakeInventory(store::Store& store, const DataFolder& folder);

// All artifacts' rows.
absl::StatusOr<std::vector<store::Artifact>> AllArtifacts(store::Store& store);

}  // namespace strata::service
