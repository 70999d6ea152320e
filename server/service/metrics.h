// Every metric that the coordinator exports: what it counts is here, what it reads off the state at a scrape is in
// exported_state.h. docs/METRICS.md lists them.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "server/base/http/pages.h"
#include "server/service/coordinator.h"
#include "server/service/live_trials.h"

namespace strata::service {

class Metrics {
 public:
  // `data_dir`: the folder whose disk is watched.
  Metrics(Coordinator& coordinator, LiveTrials& live, const std::string& data_dir);
  ~Metrics();

  // Serves /metrics, and /sd/workers (where the workers' /metrics are, as Prometheus' http_sd_configs reads it), at
  // host:port, over HTTPS with `tls`, to whom `guard` lets in. FailedPrecondition: the port is in use.
  absl::Status Expose(const std::string& listen, const base::TlsFiles& tls, base::Pages::Guard guard);
  void Close();
  std::string address() const;
  // Counts what a change stored.
  void Count(const Coordinator::Stored& stored);
  // Counts and times every call of the server.
  std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> MakeCounter();

 private:
  struct Inside;
  // Has this attempt, which ended, not been counted yet?
  bool IsNew(const core::Attempt& attempt);
  std::unique_ptr<Inside> inside_;
};

}  // namespace strata::service
