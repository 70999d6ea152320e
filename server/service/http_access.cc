#include "server/service/http_access.h"

#include <civetweb.h>

#include <string_view>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/tls/https_libraries.h"
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

absl::StatusOr<std::unique_ptr<HttpAccess>> HttpAccess::Create(const Access& access, const base::TlsFiles& tls,
                                                               const std::string& data_dir) {
  std::unique_ptr<HttpAccess> http(new HttpAccess(access, tls));
  if (!tls.any()) return http;
  if (absl::Status status = base::LoadHttpsLibraries(); !status.ok()) return status;
  auto pair = base::PemPair::Keep(tls, data_dir + "/http.pem");
  if (!pair.ok()) return pair.status();
  http->pair_ = *std::move(pair);
  return http;
}

std::vector<std::string> HttpAccess::Listening(const std::string& listen) const {
  if (pair_ == nullptr) return {"listening_ports", listen};
  return {"listening_ports",      listen + "s", "ssl_certificate", pair_->path(),
          "ssl_ca_file",          tls_.ca,      "ssl_verify_peer", "optional",
          "ssl_protocol_version", "4",  // TLS 1.2 or above
          "ssl_short_trust",      "yes"};
}

absl::Status HttpAccess::Check(const mg_connection* connection) const {
  if (pair_ == nullptr) return absl::OkStatus();
  Caller caller;
  if (const std::string token = TokenOf(mg_get_header(connection, "Authorization")); !token.empty()) {
    auto known = access_.ByToken(token);
    if (!known.ok()) return known.status();
    caller = *std::move(known);
  } else if (const mg_client_cert* shown = mg_get_request_info(connection)->client_cert; shown != nullptr) {
    const base::Certificate certificate = base::DescribeX509(shown->peer_cert);
    const auto role = ParseRole(certificate.role);
    caller.name = certificate.name;
    if (role.ok()) caller.role = *role;
  }
  if (caller.role == Role::kNobody) return absl::UnauthenticatedError(absl::StrCat("Who asks? ", kRemedy));
  if (caller.role != Role::kWorker) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(caller.name, " is a worker, and these pages are for people. ", kRemedy));
}

}  // namespace strata::service
