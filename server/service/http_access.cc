#include "server/service/http_access.h"

#include "absl/strings/str_cat.h"

namespace strata::service {
namespace {

constexpr char kRemedy[] =
    "Show a token of a viewer or above (as the password of basic authentication, or as a bearer), or a certificate of such a "
    "person. An admin makes them: strata admin token create NAME --role viewer, strata admin certs user NAME --role viewer";

}  // namespace

absl::Status MayRead(const Access& access, const base::PageCaller& page_caller) {
  if (!access.encrypted()) return absl::OkStatus();
  Caller caller;
  if (!page_caller.token.empty()) {
    auto known = access.ByToken(page_caller.token);
    if (!known.ok()) return known.status();
    caller = *std::move(known);
  } else if (page_caller.certificate) {
    const auto role = ParseRole(page_caller.certificate->role);
    caller.name = page_caller.certificate->name;
    if (role.ok()) caller.role = *role;  // a coordinator's is no caller's
  }
  if (caller.role == Role::kNobody) return absl::UnauthenticatedError(absl::StrCat("Who asks? ", kRemedy));
  if (caller.role != Role::kWorker) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(caller.name, " is a worker, and these pages are for people. ", kRemedy));
}

}  // namespace strata::service
