// The whole coordinator in one object: store, controller, services, metrics, one gRPC server. main.cc is its command
// line, tests start it in their own process.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/tls/certificate.h"
#include "server/service/coordinator.h"
#include "server/service/retention.h"

namespace strata::service {

struct ServerOptions {
  std::string data_dir;
  std::string listen = "127.0.0.1:7070";          // port 0: any
  std::string metrics_listen = "127.0.0.1:7071";  // likewise; "none": no metrics
  bool insecure = false;                          // may listen beyond loopback without TLS
  base::TlsFiles tls;                             // none: in the clear, and nobody is asked who he is
  std::string admin_token_file;  // with TLS: where the first admin's token is read from, or written to
  std::string version;           // of the program, with its commit
  Retention retention;           // applied when garbage is collected
  absl::Duration collect_every = absl::Hours(24);  // infinite: only when it is asked for
  core::ControllerOptions controller;
  std::string registry_json;  // `strata-trainer --describe`; empty: names are not checked
  Clock clock = [] { return absl::Now(); };
};

class Server {
 public:
  // Serves when it returns. FailedPrecondition, PermissionDenied and the like, as one sentence for a person.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  virtual ~Server() = default;
  // host:port that it listens on.
  virtual std::string address() const = 0;
  virtual std::string metrics_address() const = 0;  // empty: none
  // Ends calls that wait, lets the others end, closes the store. Called by the destructor too.
  virtual void Shutdown() = 0;
};

}  // namespace strata::service
