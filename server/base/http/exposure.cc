#include "server/base/http/exposure.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace strata::base {

bool ParseAddress(const std::string& address, HostAndPort* parts) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  if (!absl::SimpleAtoi(address.substr(colon + 1), &parts->port) || parts->port < 0 || parts->port > 65535)
    return false;
  parts->host = address.substr(0, colon);
  if (parts->host.front() == '[' && parts->host.back() == ']')
    parts->host = parts->host.substr(1, parts->host.size() - 2);
  return !parts->host.empty();
}

absl::Status CheckExposure(const std::string& flag, const std::string& address, bool encrypted, bool insecure) {
  HostAndPort parts;
  if (!ParseAddress(address, &parts)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": \"", address, "\" is no address. Write host:port, as in 127.0.0.1:7070."));
  }
  const bool loopback = parts.host.rfind("127.", 0) == 0 || parts.host == "localhost" || parts.host == "::1";
  if (loopback || encrypted || insecure) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      flag, " ", address,
      " would serve other machines in the clear and without asking who they are. Give --tls-cert, --tls-key and "
      "--tls-ca ('strata admin certs' makes them), listen on 127.0.0.1, or add --insecure if the network is "
      "trusted."));
}

}  // namespace strata::base
