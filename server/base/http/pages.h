// A program's pages over HTTP, or over HTTPS where it has a certificate: /metrics and the like. Each is made anew at
// every GET; nothing can be changed through them. One request a connection. A thread of its own talks with all who have
// not asked yet, so that a slow one keeps nobody waiting; a few others make the pages and send them. Thread-safe.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/tls/certificate.h"

namespace strata::base {

struct Page {
  std::string content_type;
  std::string body;
};

// What somebody who asks for a page shows.
struct PageCaller {
  std::string token;                       // a bearer, or the password of basic authentication; empty: none
  std::optional<Certificate> certificate;  // of the authority; the handshake of others fails
};

class Pages {
 public:
  using Make = std::function<Page()>;
  // Whether a caller may read pages: UNAUTHENTICATED is answered by 401, any other error by 403, with its sentence.
  using Guard = std::function<absl::Status(const PageCaller& caller)>;

  struct Options {
    std::string listen;  // host:port, port 0: any
    TlsFiles tls;        // with certificate and key: HTTPS. They are read again when they change
    Guard guard;         // none: everybody may
    absl::Duration patience = absl::Seconds(10);  // for handshake and request together, and then for taking the answer
    size_t most_connections = 128;                // of one more, that which has been asking for longest is closed
  };

  // Serves `pages`, by path. FailedPrecondition: it cannot listen there. InvalidArgument, NotFound, PermissionDenied:
  // the files.
  static absl::StatusOr<std::unique_ptr<Pages>> Serve(Options options, std::map<std::string, Make> pages);
  virtual ~Pages() = default;  // waits for pages that are being made, for nobody else

  virtual int port() const = 0;  // that it listens on
};

}  // namespace strata::base
