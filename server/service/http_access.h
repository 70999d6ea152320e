// Who may read the coordinator's pages. Where gRPC is under TLS: whoever shows a token of a viewer or above (as a bearer, or as
// the password of basic authentication, whatever the user's name). Else anybody. The pages themselves are plain HTTP: Debian's
// civetweb ends the process at the first connection under OpenSSL 3, which lacks SSL_get_peer_certificate.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "server/service/access.h"

struct mg_connection;

namespace strata::service {

class HttpAccess {
 public:
  // `access` outlives it.
  explicit HttpAccess(const Access& access) : access_(access) {}

  // civetweb's options for listening at host:port.
  std::vector<std::string> Listening(const std::string& listen) const;
  // UNAUTHENTICATED or PERMISSION_DENIED, as a sentence.
  absl::Status Check(const mg_connection* connection) const;

 private:
  const Access& access_;
};

}  // namespace strata::service
