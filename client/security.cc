#include "client/security.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/rpc/credentials.h"

namespace strata::client {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string ConfigFolder() {
  if (const std::string config = Environment("XDG_CONFIG_HOME"); !config.empty()) return config + "/strata";
  return Environment("HOME") + "/.config/strata";
}

// Flag, variable, or the file of the configuration's folder if there is one.
std::string Choose(const std::string& flag, const char* variable, const char* file, bool flags_only) {
  if (!flag.empty() || flags_only) return flag;
  if (const std::string value = Environment(variable); !value.empty()) return value;
  const std::string path = absl::StrCat(ConfigFolder(), "/", file);
  return access(path.c_str(), F_OK) == 0 ? path : "";
}

absl::StatusOr<std::string> ReadToken(const std::string& flag) {
  if (!flag.empty()) return base::ReadTokenFile(flag);
  if (std::string token = Environment("STRATA_TOKEN"); !token.empty()) return token;
  if (const std::string file = Environment("STRATA_TOKEN_FILE"); !file.empty()) return base::ReadTokenFile(file);
  const std::string path = ConfigFolder() + "/token";
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) return std::string();
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("Others on this machine may read the token in ", path, ". Keep it to yourself: chmod 600 ", path));
  }
  return base::ReadTokenFile(path);
}

bool IsLoopback(const std::string& address) {
  return absl::StartsWith(address, "127.") || absl::StartsWith(address, "localhost:") ||
         absl::StartsWith(address, "[::1]") || absl::StartsWith(address, "unix:");
}

}  // namespace

absl::StatusOr<Security> ResolveSecurity(const SecurityFlags& flags, const std::string& address, bool embedded) {
  Security security;
  security.tls = {.ca = Choose(flags.tls_ca, "STRATA_TLS_CA", "ca.crt", embedded),
                  .cert = Choose(flags.tls_cert, "STRATA_TLS_CERT", "client.crt", embedded),
                  .key = Choose(flags.tls_key, "STRATA_TLS_KEY", "client.key", embedded)};
  const bool asked = !flags.token_file.empty();
  if (!security.tls.any()) {
    if (IsLoopback(address) && !asked) return security;  // nobody is asked there, and nothing is shown
    const auto token = ReadToken(flags.token_file);
    if (!token.ok() || token->empty()) return token.ok() ? absl::StatusOr<Security>(security) : token.status();
    return absl::InvalidArgumentError(
        absl::StrCat("The token would go to ", address,
                     " in the clear. Give the file of the coordinator's authority: --tls-ca or STRATA_TLS_CA."));
  }
  const absl::Status files = base::CheckTlsFiles(security.tls, absl::Now());
  if (!files.ok()) return files;
  auto token = ReadToken(flags.token_file);
  if (!token.ok()) return token.status();
  security.token = *std::move(token);
  return security;
}

}  // namespace strata::client
