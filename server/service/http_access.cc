#include "server/service/http_access.h"

#include <civetweb.h>

#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr char kRemedy[] =
    "Show a token of a viewer or above: as the password of basic authentication, or as a bearer. An admin makes one: strata "
    "admin token create NAME --role viewer";

// The token in an Authorization header; empty: none that we read.
std::string TokenOf(const char* header) {
  if (header == nullptr) return "";
  const std::string value = header;
  if (absl::StartsWithIgnoreCase(value, "Bearer ")) return value.substr(7);
  std::string decoded;
  if (!absl::StartsWithIgnoreCase(value, "Basic ") || !absl::Base64Unescape(value.substr(6), &decoded)) return "";
  const size_t colon = decoded.find(':');
  return colon == std::string::npos ? "" : decoded.substr(colon + 1);
}

}  // namespace

std::vector<std::string> HttpAccess::Listening(const std::string& listen) const { return {"listening_ports", listen}; }

absl::Status HttpAccess::Check(const mg_connection* connection) const {
  if (!access_.encrypted()) return absl::OkStatus();
  Caller caller;
  if (const std::string token = TokenOf(mg_get_header(connection, "Authorization")); !token.empty()) {
    auto known = access_.ByToken(token);
    if (!known.ok()) return known.status();
    caller = *std::move(known);
  }
  if (caller.role == Role::kNobody) return absl::UnauthenticatedError(absl::StrCat("Who asks? ", kRemedy));
  if (caller.role != Role::kWorker) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(caller.name, " is a worker, and these pages are for people. ", kRemedy));
}

}  // namespace strata::service
