// What backups hold while they are fetched: a copy of the database and a link to every file that it names, in
// backups/ID. A link keeps a file's content from going, so nothing waits for a backup. Those of an earlier life of the
// coordinator cannot be fetched on and are deleted at the start. Thread-safe.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/service/data_folder.h"
#include "server/store/store.h"
#include "strata/v1/upkeep_service.pb.h"

namespace strata::service {

class Backups {
 public:
  Backups(store::Store& store, const DataFolder& folder) : store_(store), folder_(folder) {}

  // Deletes what an earlier life left.
  void Sweep() const;
  absl::Status Begin(v1::BeginBackupResponse& response);
  // By path, from place `from` on. NotFound.
  absl::StatusOr<std::vector<v1::BackupFile>> List(const std::string& id, size_t from, size_t most);
  // Where a file of a backup lies, and its length. NotFound.
  absl::StatusOr<std::pair<std::string, int64_t>> Find(const std::string& id, const std::string& path);
  void End(const std::string& id);

 private:
  using Files = std::map<std::string, v1::BackupFile>;  // by path

  // Copies the database into `place` and links what it names. Aborted: something went in between; begin again.
  absl::Status Take(const std::string& place, Files& files, std::vector<std::string>& missing);
  absl::Status LinkAll(store::Store& copy, const std::string& place, Files& files, std::vector<std::string>& missing);
  absl::Status LinkLogs(store::Store& copy, const std::string& place, Files& files);
  absl::StatusOr<std::shared_ptr<const Files>> FilesOf(const std::string& id);

  store::Store& store_;
  const DataFolder& folder_;
  base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<const Files>> open_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace strata::service
