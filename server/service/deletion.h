// Deleting experiments and datasets: what would go, what forbids it, and doing it. Rows go in one transaction, files
// after it: a crash between the two leaves files without rows, never rows without files. Thread-safe.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/mutex.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "strata/v1/upkeep_service.pb.h"

namespace strata::service {

class Deletion {
 public:
  // `datasets` is held while files of datasets move: DatasetService's.
  Deletion(Coordinator& coordinator, const DataFolder& folder, base::Mutex& datasets)
      : coordinator_(coordinator), folder_(folder), datasets_(datasets) {}

  absl::Status Plan(const std::vector<std::string>& names, v1::PlanDeletionResponse& plan);
  absl::Status Delete(const v1::DeleteRequest& request, v1::DeleteResponse& response);
  // Removes the files that deletions of an earlier life of the coordinator did not come to.
  absl::Status Finish();

 private:
  absl::Status PlanExperiment(const std::string& name, const std::vector<std::string>& names,
                              v1::PlanDeletionResponse& plan);
  absl::Status PlanDataset(const std::string& name, const std::vector<std::string>& names,
                           v1::PlanDeletionResponse& plan);
  // Deletes the rows; `plan` has been checked.
  absl::Status Commit(const v1::DeleteRequest& request, const v1::PlanDeletionResponse& plan,
                      const v1::DeleteResponse& response);
  // All that lies in the folders of what was deleted; what cannot be removed becomes a sentence of `left`.
  void RemoveFolders(const std::string& name, v1::DeleteResponse& response) const;
  void RemovePath(const std::string& path, v1::DeleteResponse& response) const;
  // Ids of the uploads of these experiments' jobs.
  absl::StatusOr<std::vector<std::string>> UploadsOf(const v1::PlanDeletionResponse& plan);

  Coordinator& coordinator_;
  const DataFolder& folder_;
  base::Mutex& datasets_;
};

}  // namespace strata::service
