// Finding and deleting what may go: files without rows, what never arrived whole, and what has reached its age by the
// policy. Nothing goes by age while a job that may still need it lives. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "server/service/inventory.h"
#include "server/service/retention.h"
#include "strata/v1/upkeep_service.pb.h"

namespace strata::service {

class GarbageCollector {
 public:
  // So long after it was last touched a file without a row, and one that was never whole, are nobody's.
  static constexpr absl::Duration kOrphanAge = absl::Hours(1), kArrivalAge = absl::Hours(24);

  // `datasets` is held while files of datasets move: DatasetService's.
  GarbageCollector(Coordinator& coordinator, const DataFolder& folder, base::Mutex& datasets)
      : coordinator_(coordinator), folder_(folder), datasets_(datasets) {}

  // Lists it, and deletes it unless `dry_run`.
  absl::Status Collect(const Retention& retention, bool dry_run, v1::CollectGarbageResponse& response);

 private:
  // Something that may go.
  struct Item {
    v1::Garbage shown;
    std::string job;         // must have ended still, when it goes; empty: none
    std::string upload_job;  // must have no live attempt `attempt`
    int32_t attempt = 0;
    std::vector<store::Write> writes;  // its rows
    std::vector<std::string> paths;    // its files and folders
  };
  using Items = std::vector<Item>;

  absl::Status Find(const Retention& retention, Items& items);
  void FindOrphans(const Inventory& inventory, Items& items) const;
  absl::Status FindUploads(const Inventory& inventory, Items& items) const;
  void FindHalfArrived(const Inventory& inventory, Items& items) const;
  void FindCheckpoints(const Inventory& inventory, const Retention& retention, Items& items) const;
  void FindLogs(const Inventory& inventory, const Retention& retention, Items& items) const;
  absl::Status FindVectors(const Inventory& inventory, const Retention& retention, Items& items) const;
  absl::Status FindDatasets(const Inventory& inventory, const Retention& retention, Items& items) const;
  // Deletes rows, then files. FailedPrecondition: it is needed again.
  absl::Status Remove(const Item& item);

  Coordinator& coordinator_;
  const DataFolder& folder_;
  base::Mutex& datasets_;
};

}  // namespace strata::service
