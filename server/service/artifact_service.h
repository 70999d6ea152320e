// ArtifactService of proto/strata/v1/artifact_service.proto. An upload is a file that grows: where it stands is its
// length, so it goes on after any crash (arrival.h).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "server/base/mutex.h"
#include "server/service/access.h"
#include "server/service/arrival.h"
#include "server/service/checkpoints.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "strata/v1/artifact_service.grpc.pb.h"

namespace strata::service {

// Names the job, attempt and content, so that the same file of the same attempt has the same name.
std::string ArtifactName(const store::Upload& upload);

class ArtifactService final : public v1::ArtifactService::Service {
 public:
  ArtifactService(Coordinator& coordinator, const Access& access, Checkpoints& checkpoints, const DataFolder& folder)
      : coordinator_(coordinator), access_(access), checkpoints_(checkpoints), folder_(folder) {}

  grpc::Status StartUpload(grpc::ServerContext*, const v1::StartUploadRequest*, v1::StartUploadResponse*) override;
  grpc::Status UploadChunk(grpc::ServerContext*, const v1::UploadChunkRequest*, v1::UploadChunkResponse*) override;
  grpc::Status FinishUpload(grpc::ServerContext*, const v1::FinishUploadRequest*, v1::Artifact*) override;
  grpc::Status GetArtifact(grpc::ServerContext*, const v1::GetArtifactRequest*, v1::Artifact*) override;
  grpc::Status ListArtifacts(grpc::ServerContext*, const v1::ListArtifactsRequest*,
                             v1::ListArtifactsResponse*) override;
  grpc::Status ReadArtifact(grpc::ServerContext*, const v1::ReadArtifactRequest*,
                            grpc::ServerWriter<v1::ReadArtifactResponse>*) override;

 private:
  absl::Status Start(const v1::StartUploadRequest& request, v1::StartUploadResponse& response);
  absl::Status Take(const v1::UploadChunkRequest& request, const grpc::ServerContext& context);
  absl::StatusOr<store::Artifact> Finish(const std::string& upload_id);
  // NotFound: there is no such upload.
  absl::StatusOr<std::shared_ptr<Arrival>> ArrivalOf(const std::string& upload_id);
  std::shared_ptr<Arrival> ArrivalOf(const store::Upload& upload);
  void Forget(const std::string& upload_id);
  absl::StatusOr<store::Artifact> Keep(const store::Upload& upload);
  absl::Status Drop(const store::Upload& upload, const std::string& path, const std::string& hash);
  absl::Status CheckLives(const std::string& job, int32_t attempt);
  absl::StatusOr<store::Artifact> Find(const std::string& name);
  // What any attempt of the job has left of this kind and content.
  absl::StatusOr<std::optional<store::Artifact>> FindSame(const store::Upload& upload);

  Coordinator& coordinator_;
  const Access& access_;
  Checkpoints& checkpoints_;
  const DataFolder& folder_;
  base::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Arrival>> arrivals_ ABSL_GUARDED_BY(mutex_);  // by upload
};

}  // namespace strata::service
