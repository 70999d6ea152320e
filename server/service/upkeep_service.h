// UpkeepService of proto/strata/v1/upkeep_service.proto, and the collection of garbage that comes by itself.
#pragma once

#include <string>
#include <thread>

#include "server/base/mutex.h"
#include "server/service/backup.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "server/service/deletion.h"
#include "server/service/garbage.h"
#include "server/service/retention.h"
#include "strata/v1/upkeep_service.grpc.pb.h"

namespace strata::service {

class UpkeepService final : public v1::UpkeepService::Service {
 public:
  // `datasets` is held while files of datasets move. Garbage is collected every `between`; infinite: never. What an
  // earlier life held for backups goes at once: before any is begun.
  UpkeepService(Coordinator& coordinator, const DataFolder& folder, base::Mutex& datasets, Retention retention,
                absl::Duration between, std::string version)
      : coordinator_(coordinator),
        folder_(folder),
        retention_(retention),
        between_(between),
        version_(std::move(version)),
        deletion_(coordinator, folder, datasets),
        garbage_(coordinator, folder, datasets),
        backups_(coordinator.store(), folder) {
    backups_.Sweep();
  }
  ~UpkeepService() override { Stop(); }

  // Removes what an earlier life left half deleted, and collects garbage: an hour from now, when agents have had time
  // to go on with what they were sending, or after `between` if that is sooner; then every `between`.
  void Start();
  void Stop();

  grpc::Status PlanDeletion(grpc::ServerContext*, const v1::PlanDeletionRequest*, v1::PlanDeletionResponse*) override;
  grpc::Status Delete(grpc::ServerContext*, const v1::DeleteRequest*, v1::DeleteResponse*) override;
  grpc::Status GetUsage(grpc::ServerContext*, const v1::GetUsageRequest*, v1::GetUsageResponse*) override;
  grpc::Status CollectGarbage(grpc::ServerContext*, const v1::CollectGarbageRequest*,
                              v1::CollectGarbageResponse*) override;
  grpc::Status BeginBackup(grpc::ServerContext*, const v1::BeginBackupRequest*, v1::BeginBackupResponse*) override;
  grpc::Status ListBackupFiles(grpc::ServerContext*, const v1::ListBackupFilesRequest*,
                               v1::ListBackupFilesResponse*) override;
  grpc::Status ReadBackupFile(grpc::ServerContext*, const v1::ReadBackupFileRequest*,
                              grpc::ServerWriter<v1::ReadBackupFileResponse>*) override;
  grpc::Status EndBackup(grpc::ServerContext*, const v1::EndBackupRequest*, v1::EndBackupResponse*) override;
  grpc::Status CheckStorage(grpc::ServerContext*, const v1::CheckStorageRequest*,
                            grpc::ServerWriter<v1::CheckStorageResponse>*) override;

 private:
  // The thread's whole life.
  void CollectByItself();
  // True as soon as Stop is called; false after `time`.
  bool AwaitStop(absl::Duration time);

  Coordinator& coordinator_;
  const DataFolder& folder_;
  const Retention retention_;
  const absl::Duration between_;
  const std::string version_;
  Deletion deletion_;
  GarbageCollector garbage_;
  Backups backups_;
  base::Mutex mutex_;
  base::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread collecting_;
};

}  // namespace strata::service
