// The agent's /metrics for Prometheus.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/tls/certificate.h"
#include "worker/agent/gpus.h"
#include "worker/agent/stats.h"

namespace strata::agent {

class MetricsServer {
 public:
  virtual ~MetricsServer() = default;
  virtual int port() const = 0;  // that it listens on
  // Serves what `view` returns as well, labelled with the worker's name.
  virtual void ShowGpus(std::string worker, std::function<std::vector<GpuView>()> view) = 0;
};

// Serves `stats`, which must outlive the server, and how full the disk of `state_dir` is, on HOST:PORT.
// With a certificate in `tls` over HTTPS, and only to whoever shows a certificate of its authority. Without, in the clear.
// FAILED_PRECONDITION with a sentence if the port is in use; else what is wrong with the files.
absl::StatusOr<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& listen, const Stats& stats,
                                                           const std::string& state_dir,
                                                           const base::TlsFiles& tls = {});

}  // namespace strata::agent
