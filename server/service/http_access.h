// Who may read the coordinator's pages. Under TLS: whoever shows a token of a viewer or above (as a bearer, or as the password
// of basic authentication, whatever the user's name), or a certificate of such a person. In the clear: anybody.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/tls/pem_pair.h"
#include "server/service/access.h"

struct mg_connection;

namespace strata::service {

class HttpAccess {
 public:
  // With TLS, `data_dir` gets the file http.pem that civetweb reads. `access` outlives it.
  static absl::StatusOr<std::unique_ptr<HttpAccess>> Create(const Access& access, const base::TlsFiles& tls,
                                                            const std::string& data_dir);

  // civetweb's options for listening at host:port.
  std::vector<std::string> Listening(const std::string& listen) const;
  // UNAUTHENTICATED or PERMISSION_DENIED, as a sentence.
  absl::Status Check(const mg_connection* connection) const;

 private:
  HttpAccess(const Access& access, const base::TlsFiles& tls) : access_(access), tls_(tls) {}

  const Access& access_;
  const base::TlsFiles tls_;
  std::unique_ptr<base::PemPair> pair_;  // null: in the clear
};

}  // namespace strata::service
