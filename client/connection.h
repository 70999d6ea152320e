// A connection to a coordinator, and calls whose errors are sentences.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/security.h"
#include "strata/v1/access_service.grpc.pb.h"
#include "strata/v1/artifact_service.grpc.pb.h"
#include "strata/v1/dataset_service.grpc.pb.h"
#include "strata/v1/experiment_service.grpc.pb.h"
#include "strata/v1/metric_service.grpc.pb.h"
#include "strata/v1/upkeep_service.grpc.pb.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace strata::client {

// Stubs of all services over one channel. Any number of threads may call.
class Connection {
 public:
  explicit Connection(const std::string& address, Security security = {});

  const std::string& address() const { return address_; }
  v1::ExperimentService::Stub& experiments() const { return *experiments_; }
  v1::TrialService::Stub& trials() const { return *trials_; }
  v1::JobService::Stub& jobs() const { return *jobs_; }
  v1::DatasetService::Stub& datasets() const { return *datasets_; }
  v1::MetricService::Stub& metrics() const { return *metrics_; }
  v1::ArtifactService::Stub& artifacts() const { return *artifacts_; }
  v1::WorkerService::Stub& workers() const { return *workers_; }
  v1::AccessService::Stub& access() const { return *access_; }
  v1::UpkeepService::Stub& upkeep() const { return *upkeep_; }

  // The same code with a message for a person; UNAVAILABLE says how to start a coordinator. FAILED_PRECONDITION: one is
  // there, but TLS does not come about; says why.
  absl::Status Explain(const grpc::Status& status) const;

  // One unary call: Call(&TrialService::Stub::GetTrial, connection.trials(), request). 30 s at most, or
  // as long as `deadline`.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                Stub& stub, const Request& request,
                                std::chrono::seconds deadline = kDeadline) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + deadline);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return Explain(status);
    return response;
  }

  // The same for calls that may be repeated: while the coordinator is away after it once answered, tries for up to
  // `patience`.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> CallPatiently(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                                         Stub& stub, const Request& request,
                                         std::chrono::seconds patience = std::chrono::seconds(30),
                                         std::chrono::seconds deadline = kDeadline) const {
    const auto give_up = std::chrono::steady_clock::now() + patience;
    const bool stood = Reachable();
    for (;;) {
      absl::StatusOr<Response> response = Call(method, stub, request, deadline);
      if (response.ok() || !absl::IsUnavailable(response.status()) || !stood) return response;
      if (std::chrono::steady_clock::now() > give_up) return response;
      Pause();
    }
  }

  // For calls that read all that is stored.
  static constexpr std::chrono::seconds kLong{6 * 3600};

  // Whether the coordinator can be reached now. Waits up to two seconds for a first connection.
  bool Reachable() const;

 private:
  static constexpr std::chrono::seconds kDeadline{30};
  static void Pause();

  std::string address_;
  Security security_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ExperimentService::Stub> experiments_;
  std::unique_ptr<v1::TrialService::Stub> trials_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::DatasetService::Stub> datasets_;
  std::unique_ptr<v1::MetricService::Stub> metrics_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::AccessService::Stub> access_;
  std::unique_ptr<v1::UpkeepService::Stub> upkeep_;
};

}  // namespace strata::client
