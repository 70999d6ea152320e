// For tests: a coordinator in this process on a free port, with the real store, and stubs of all its services.
#pragma once

#include <grpcpp/grpcpp.h>

#include <string>
#include <vector>

#include "server/service/server.h"
#include "strata/v1/artifact_service.grpc.pb.h"
#include "strata/v1/dataset_service.grpc.pb.h"
#include "strata/v1/experiment_service.grpc.pb.h"
#include "strata/v1/metric_service.grpc.pb.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace strata::service {

class TestCluster {
 public:
  explicit TestCluster(absl::Duration lease = absl::Seconds(6));
  ~TestCluster();
  // Stops and starts the coordinator on the same folder.
  void Restart();

  // Registers a dataset of one small file; returns its digest.
  std::string AddDataset(const std::string& name, const std::string& content = "hello");
  // One trial of translation on `dataset`, with one score; small numbers.
  static v1::ExperimentSpec Spec(const std::string& dataset = "tiny");
  // Submits; expects that it works.
  v1::Experiment Submit(const v1::ExperimentSpec& spec, const std::string& request_id, bool force = false);

  // A worker with `slots` slots.
  void Register(const std::string& worker, int slots = 1, const std::vector<v1::AttemptRef>& running = {});
  // What should run on the worker now.
  v1::SynchronizeResponse Sync(const std::string& worker, const std::vector<v1::AttemptRef>& running = {});
  grpc::Status Report(const std::string& worker, const v1::AttemptRef& attempt, const std::vector<std::string>& events,
                      int64_t* acknowledged = nullptr);
  grpc::Status Complete(const std::string& worker, const v1::AttemptRef& attempt, const std::string& outcome,
                        const std::string& cause = "");
  // Uploads `content` whole; expects that it works.
  v1::Artifact Upload(const v1::AttemptRef& attempt, const std::string& kind, int update, const std::string& content);
  v1::Trial Trial(const std::string& name);
  v1::Job Job(const std::string& name);

  const std::string& folder() const { return folder_; }
  Server& server() { return *server_; }
  const std::string& session(const std::string& worker) { return sessions_[worker]; }

  std::unique_ptr<v1::ExperimentService::Stub> experiments;
  std::unique_ptr<v1::TrialService::Stub> trials;
  std::unique_ptr<v1::JobService::Stub> jobs;
  std::unique_ptr<v1::MetricService::Stub> metrics;
  std::unique_ptr<v1::DatasetService::Stub> datasets;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts;
  std::unique_ptr<v1::WorkerService::Stub> workers;

 private:
  void Start();

  const std::string folder_;
  const absl::Duration lease_;
  std::unique_ptr<Server> server_;
  std::map<std::string, std::string> sessions_;
  std::map<std::string, int64_t> generations_;
};

// An event of a trainer, as a line of its spool.
std::string Event(int64_t seq, const std::string& type, const std::string& fields, int attempt = 1);

}  // namespace strata::service
