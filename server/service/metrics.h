// Every metric that the coordinator exports, in one place. Per-trial series stand while a training lives and five
// minutes longer; everything else has labels from fixed lists.
#pragma once

#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/service/coordinator.h"
#include "server/service/live_trials.h"

namespace strata::service {

class Metrics {
 public:
  Metrics(Coordinator& coordinator, LiveTrials& live);
  ~Metrics();

  // Serves /metrics at host:port. FailedPrecondition: the port is in use.
  absl::Status Expose(const std::string& listen);
  void Close();
  std::string address() const;
  // Counts what a change stored.
  void Count(const Coordinator::Stored& stored);
  // Counts and times every call of the server.
  void Intercept(grpc::ServerBuilder& builder);

 private:
  struct Inside;
  std::unique_ptr<Inside> inside_;
};

}  // namespace strata::service
