// Where a program may listen.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace strata::base {

// Whether `address` (HOST:PORT, of the flag of that name) may be listened at: on loopback, under TLS, or because the
// network is trusted. FailedPrecondition says what to do; InvalidArgument: it is no address.
absl::Status CheckExposure(const std::string& flag, const std::string& address, bool encrypted, bool insecure);

struct HostAndPort {
  std::string host;  // an IPv6 address without its brackets
  int port = 0;
};
bool ParseAddress(const std::string& address, HostAndPort* parts);

}  // namespace strata::base
