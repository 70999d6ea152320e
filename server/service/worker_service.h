// WorkerService of proto/strata/v1/worker_service.proto: the agents' side.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "server/service/access.h"
#include "server/service/checkpoints.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"
#include "server/service/live_trials.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace strata::service {

inline constexpr int kProtocol = 1;
inline constexpr int kMostEvents = 20000;  // of one call
inline constexpr size_t kLongestLogPiece = 256 << 10;
inline constexpr size_t kLongestCollective = 120;  // bytes of a collective's name that are kept

// The id in workers/{worker}. InvalidArgument shows the form.
absl::StatusOr<std::string> WorkerId(const std::string& name);

class WorkerService final : public v1::WorkerService::Service {
 public:
  // `version`: the coordinator's, with its commit; empty: workers' versions are not compared.
  WorkerService(Coordinator& coordinator, const Access& access, LiveTrials& live, Checkpoints& checkpoints,
                const DataFolder& folder, std::string version)
      : coordinator_(coordinator),
        access_(access),
        live_(live),
        checkpoints_(checkpoints),
        folder_(folder),
        version_(std::move(version)) {}

  grpc::Status RegisterWorker(grpc::ServerContext*, const v1::RegisterWorkerRequest*,
                              v1::RegisterWorkerResponse*) override;
  grpc::Status Synchronize(grpc::ServerContext*, const v1::SynchronizeRequest*, v1::SynchronizeResponse*) override;
  grpc::Status ReportEvents(grpc::ServerContext*, const v1::ReportEventsRequest*, v1::ReportEventsResponse*) override;
  grpc::Status CompleteAttempt(grpc::ServerContext*, const v1::CompleteAttemptRequest*,
                               v1::CompleteAttemptResponse*) override;
  grpc::Status AppendLog(grpc::ServerContext*, const v1::AppendLogRequest*, v1::AppendLogResponse*) override;
  grpc::Status DeregisterWorker(grpc::ServerContext*, const v1::DeregisterWorkerRequest*,
                                v1::DeregisterWorkerResponse*) override;
  grpc::Status GetWorker(grpc::ServerContext*, const v1::GetWorkerRequest*, v1::Worker*) override;
  grpc::Status CordonWorker(grpc::ServerContext*, const v1::CordonWorkerRequest*, v1::Worker*) override;
  grpc::Status UncordonWorker(grpc::ServerContext*, const v1::UncordonWorkerRequest*, v1::Worker*) override;
  grpc::Status DrainWorker(grpc::ServerContext*, const v1::DrainWorkerRequest*, v1::Worker*) override;
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*, v1::ListWorkersResponse*) override;

 private:
  // Whether it is the agent of workers/{worker} who calls. PERMISSION_DENIED says who does.
  absl::Status CheckSpeaker(const grpc::ServerContext& context, const std::string& name) const;
  // FAILED_PRECONDITION names both versions.
  absl::Status CheckVersion(const v1::RegisterWorkerRequest& request) const;
  absl::Status Register(const v1::RegisterWorkerRequest& request, v1::RegisterWorkerResponse& response);
  absl::Status Sync(const v1::SynchronizeRequest& request, v1::SynchronizeResponse& response);
  absl::Status Report(const v1::ReportEventsRequest& request, v1::ReportEventsResponse& response);
  absl::Status Complete(const v1::CompleteAttemptRequest& request);
  absl::Status Append(const v1::AppendLogRequest& request, v1::AppendLogResponse& response);
  absl::StatusOr<v1::Worker> Find(const std::string& name);
  // What a person asks of a worker.
  grpc::Status Steer(const std::string& name, const std::function<core::Event(const std::string& id)>& event,
                     v1::Worker* response);
  absl::StatusOr<v1::Assignment> Describe(const core::WorkerAssignment& assignment, const core::Job& job);
  // What the trainer of rank 0 begins with: a checkpoint, the weights that are scored, or those whose mean is.
  absl::Status AddCheckpoints(const core::Job& job, const v1::EvaluateSpec& score, v1::Assignment& assignment);
  // Seconds of a slot an update, of a training that succeeds: all the attempt's time over what it trained.
  absl::StatusOr<std::optional<double>> CostOf(const core::AttemptCompleted& event);
  // Trials never change in what is asked of them here.
  absl::StatusOr<store::Trial> TrialOf(const std::string& name);

  Coordinator& coordinator_;
  const Access& access_;
  LiveTrials& live_;
  Checkpoints& checkpoints_;
  const DataFolder& folder_;
  const std::string version_;
  base::Mutex mutex_;
  std::map<std::string, store::Trial> trials_ ABSL_GUARDED_BY(mutex_);
  base::Mutex log_mutex_;  // appends to one log come one at a time; to all, for simplicity
};

}  // namespace strata::service
