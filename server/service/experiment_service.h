// ExperimentService, TrialService and JobService of proto/strata/v1/experiment_service.proto.
#pragma once

#include <atomic>
#include <functional>
#include <set>
#include <string>

#include "server/service/data_folder.h"
#include "server/service/views.h"
#include "strata/v1/experiment_service.grpc.pb.h"

namespace strata::service {

// Streams that may be open at once, of each kind; each holds a thread.
inline constexpr int kMostWatchers = 64;

// Counts itself among the watchers while it lives; ok() is false if there were too many.
class WatcherSeat {
 public:
  explicit WatcherSeat(std::atomic<int>& seats) : seats_(seats), ok_(++seats <= kMostWatchers) {}
  ~WatcherSeat() { --seats_; }
  bool ok() const { return ok_; }
  absl::Status Refusal() const;

 private:
  std::atomic<int>& seats_;
  const bool ok_;
};

class ExperimentService final : public v1::ExperimentService::Service {
 public:
  ExperimentService(Coordinator& coordinator, Views& views, const DataFolder& folder, std::string registry_json)
      : coordinator_(coordinator), views_(views), folder_(folder), registry_json_(std::move(registry_json)) {}

  grpc::Status CreateExperiment(grpc::ServerContext*, const v1::CreateExperimentRequest*,
                                v1::CreateExperimentResponse*) override;
  grpc::Status PlanExperiment(grpc::ServerContext*, const v1::PlanExperimentRequest*,
                              v1::PlanExperimentResponse*) override;
  grpc::Status GetExperiment(grpc::ServerContext*, const v1::GetExperimentRequest*, v1::Experiment*) override;
  grpc::Status ListExperiments(grpc::ServerContext*, const v1::ListExperimentsRequest*,
                               v1::ListExperimentsResponse*) override;
  grpc::Status CancelExperiment(grpc::ServerContext*, const v1::CancelExperimentRequest*, v1::Experiment*) override;
  grpc::Status HoldExperiment(grpc::ServerContext*, const v1::HoldExperimentRequest*, v1::Experiment*) override;
  grpc::Status ReleaseExperiment(grpc::ServerContext*, const v1::ReleaseExperimentRequest*, v1::Experiment*) override;
  grpc::Status WatchExperiment(grpc::ServerContext*, const v1::WatchExperimentRequest*,
                               grpc::ServerWriter<v1::WatchExperimentResponse>*) override;

 private:
  absl::Status Create(const v1::CreateExperimentRequest& request, v1::CreateExperimentResponse& response);
  absl::Status Plan(const v1::PlanExperimentRequest& request, v1::PlanExperimentResponse& response);
  // What a person asks of every job of an experiment that is its own and has not ended.
  using Ask = std::function<core::Event(const std::string& job)>;
  grpc::Status Steer(const std::string& name, const Ask& ask, v1::Experiment* response);
  absl::Status Watch(grpc::ServerContext& context, const std::string& name,
                     grpc::ServerWriter<v1::WatchExperimentResponse>& writer);

  Coordinator& coordinator_;
  Views& views_;
  const DataFolder& folder_;
  const std::string registry_json_;
  std::atomic<int> watchers_{0};
  base::Mutex mutex_;
  base::CondVar created_;
  std::set<std::string> creating_ ABSL_GUARDED_BY(mutex_);  // request ids of calls that are under way
};

class TrialService final : public v1::TrialService::Service {
 public:
  explicit TrialService(Views& views) : views_(views) {}
  grpc::Status GetTrial(grpc::ServerContext*, const v1::GetTrialRequest*, v1::Trial*) override;
  grpc::Status ListTrials(grpc::ServerContext*, const v1::ListTrialsRequest*, v1::ListTrialsResponse*) override;

 private:
  Views& views_;
};

class JobService final : public v1::JobService::Service {
 public:
  JobService(Coordinator& coordinator, Views& views, const DataFolder& folder)
      : coordinator_(coordinator), views_(views), folder_(folder) {}
  grpc::Status GetJob(grpc::ServerContext*, const v1::GetJobRequest*, v1::Job*) override;
  grpc::Status ListJobs(grpc::ServerContext*, const v1::ListJobsRequest*, v1::ListJobsResponse*) override;
  grpc::Status CancelJob(grpc::ServerContext*, const v1::CancelJobRequest*, v1::Job*) override;
  grpc::Status RetryJob(grpc::ServerContext*, const v1::RetryJobRequest*, v1::Job*) override;
  grpc::Status HoldJob(grpc::ServerContext*, const v1::HoldJobRequest*, v1::Job*) override;
  grpc::Status ReleaseJob(grpc::ServerContext*, const v1::ReleaseJobRequest*, v1::Job*) override;
  grpc::Status GetJobLog(grpc::ServerContext*, const v1::GetJobLogRequest*, v1::GetJobLogResponse*) override;

 private:
  grpc::Status Steer(const std::string& name, const std::function<core::Event(const std::string& job)>& ask,
                     v1::Job* response);
  absl::Status Log(const v1::GetJobLogRequest& request, v1::GetJobLogResponse& response);

  Coordinator& coordinator_;
  Views& views_;
  const DataFolder& folder_;
};

}  // namespace strata::service
