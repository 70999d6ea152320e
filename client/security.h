// How the command shows who it is, and knows whom it speaks to. Each setting comes from its flag, else its environment
// variable, else a file in ${XDG_CONFIG_HOME:-~/.config}/strata; the embedded cluster is spoken to in the clear unless a flag
// says otherwise.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/base/tls/certificate.h"

namespace strata::client {

struct Security {
  base::TlsFiles tls;  // none: in the clear
  std::string token;   // shown under TLS alone
};

// What flags say; empty: nothing.
struct SecurityFlags {
  std::string tls_ca;      // STRATA_TLS_CA, ca.crt
  std::string tls_cert;    // STRATA_TLS_CERT, client.crt
  std::string tls_key;     // STRATA_TLS_KEY, client.key
  std::string token_file;  // STRATA_TOKEN (the token itself), STRATA_TOKEN_FILE, token
};

// For `address`; `embedded`: it is the one that `strata up` left. InvalidArgument: files are missing or wrong, others may read
// the token in the configuration's folder, or it would leave this machine in the clear.
absl::StatusOr<Security> ResolveSecurity(const SecurityFlags& flags, const std::string& address, bool embedded);

}  // namespace strata::client
