// What lets Debian's civetweb, which serves our pages, speak TLS by OpenSSL 3. It opens "libssl.so" and "libcrypto.so"
// itself, names that only development packages have, and calls SSL_get_peer_certificate, which OpenSSL 3 knows under
// another name: without it the first connection ends the process. Two small libraries of ours bear these names, lead to
// the real ones, and hold that function.
#pragma once

#include "absl/status/status.h"

namespace strata::base {

// Makes this process find them. Before civetweb serves over TLS; further calls return what the first did. Thread-safe.
// FailedPrecondition: the system does not let it.
absl::Status LoadHttpsLibraries();

}  // namespace strata::base
