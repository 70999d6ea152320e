// The serving side of TLS for connections that are not gRPC's: made of files, and made anew when they change. Not
// thread-safe.
#pragma once

#include <sys/stat.h>

#include <array>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/tls/certificate.h"
#include "server/base/tls/openssl.h"

namespace strata::base {

class ServingContext {
 public:
  // InvalidArgument, NotFound, PermissionDenied: what is wrong with the files.
  static absl::StatusOr<ServingContext> Make(const TlsFiles& files);

  // The next connection's end of TLS over `fd`: TLS 1.2 or above, no resumption. It asks for a certificate, and the
  // handshake fails where one is shown that is not the authority's. Looks at the files at most once a second; while
  // they do not belong together, the former ones serve on.
  tls::SslPtr Accept(int fd);

 private:
  using Look = std::array<struct stat, 3>;
  explicit ServingContext(const TlsFiles& files) : files_(files) {}
  Look LookAtFiles() const;
  absl::Status Load();

  TlsFiles files_;
  Look seen_{};
  absl::Time next_look_ = absl::InfinitePast();
  tls::SslContextPtr context_;
};

}  // namespace strata::base
