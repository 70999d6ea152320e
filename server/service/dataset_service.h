// DatasetService of proto/strata/v1/dataset_service.proto. Files arrive in a folder of their own; when all are whole
// and right, the folder is renamed to its place. Of a complete dataset, files that are damaged are taken again one by
// one.
#pragma once

#include <string>

#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "strata/v1/dataset_service.grpc.pb.h"

namespace strata::service {

class DatasetService final : public v1::DatasetService::Service {
 public:
  DatasetService(Coordinator& coordinator, const DataFolder& folder) : coordinator_(coordinator), folder_(folder) {}

  grpc::Status CreateDataset(grpc::ServerContext*, const v1::CreateDatasetRequest*,
                             v1::CreateDatasetResponse*) override;
  grpc::Status UploadDatasetFile(grpc::ServerContext*, const v1::UploadDatasetFileRequest*,
                                 v1::UploadDatasetFileResponse*) override;
  grpc::Status GetDataset(grpc::ServerContext*, const v1::GetDatasetRequest*, v1::Dataset*) override;
  grpc::Status ListDatasets(grpc::ServerContext*, const v1::ListDatasetsRequest*, v1::ListDatasetsResponse*) override;
  grpc::Status ReadDatasetFile(grpc::ServerContext*, const v1::ReadDatasetFileRequest*,
                               grpc::ServerWriter<v1::ReadDatasetFileResponse>*) override;

  // Held while files of datasets come, move or go.
  base::Mutex& moving() ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

 private:
  absl::Status Create(const v1::CreateDatasetRequest& request, v1::CreateDatasetResponse& response);
  absl::Status Take(const v1::UploadDatasetFileRequest& request, v1::UploadDatasetFileResponse& response);
  // Moves the dataset to its place if all its files are whole. Says whether it is complete.
  absl::StatusOr<bool> CompleteIfWhole(const store::Dataset& dataset);
  // Opens files of a complete dataset again whose content is not what the manifest says, and writes the manifest anew.
  // Reads all of it.
  absl::Status ReopenDamaged(const store::Dataset& dataset);
  // Moves a file that arrived for a complete dataset to its place.
  absl::Status PutRight(const std::string& dataset, const std::string& path);
  absl::Status Store(const std::function<void(Coordinator::Change&)>& write);
  absl::StatusOr<store::Dataset> Find(const std::string& name);

  Coordinator& coordinator_;
  const DataFolder& folder_;
  base::Mutex mutex_;  // uploads come one chunk at a time, which keeps offsets and files together
};

}  // namespace strata::service
