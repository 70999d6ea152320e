// A backup on disk: what 'strata admin backup' writes, 'restore' and 'check' read.
//
//   DIR/manifest.json        {"format": 1, "time", "version", "files": [{"path", "bytes", "sha256"}], "missing": [...]}
//   DIR/objects/ab/abcd...   a file under its SHA-256; .partial while it arrives
//   DIR/objects/log.partial  a log while it arrives: its hash is known at its end
//
// The manifest is replaced as a whole once every file that it names is there: a backup that is cut off leaves the one
// before it as it was, and what has arrived is not fetched again.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace strata::client {

struct BackedUpFile {
  std::string path;  // within the coordinator's folder
  int64_t bytes = 0;
  std::string sha256;
};

struct BackupManifest {
  std::string time;     // of the state that it holds
  std::string version;  // of the coordinator
  std::vector<BackedUpFile> files;
  std::vector<std::string> missing;  // what was missing or damaged at the coordinator
};

std::string ObjectPath(const std::string& folder, const std::string& sha256);

// FailedPrecondition where something lies in `folder` that no backup puts there; names it.
absl::Status CheckIsBackup(const std::string& folder);

// NotFound: no backup; DataLoss: not one of ours, or a path in it that leads elsewhere.
absl::StatusOr<BackupManifest> ReadManifest(const std::string& folder);
absl::Status WriteManifest(const std::string& folder, const BackupManifest& manifest);

// Deletes objects that the manifest does not name.
void PruneObjects(const std::string& folder, const BackupManifest& manifest);

// Reads every file and tells of each that is missing or not what the manifest says, as one line.
void CheckObjects(const std::string& folder, const BackupManifest& manifest,
                  const std::function<void(const std::string&)>& tell);

// Makes a coordinator's folder of it, the database last. FailedPrecondition: the target is not empty. Look with
// CheckObjects first.
absl::Status RestoreTo(const std::string& target, const std::string& folder, const BackupManifest& manifest);

}  // namespace strata::client
