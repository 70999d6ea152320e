// Who may read the coordinator's pages. Under TLS: whoever shows a token of a viewer or above (as a bearer, or as the password
// of basic authentication, whatever the user's name), or a certificate of such a person. In the clear: anybody. Thread-safe.
#pragma once

#include "absl/status/status.h"
#include "server/base/http/pages.h"
#include "server/service/access.h"

namespace strata::service {

// OK, UNAUTHENTICATED or PERMISSION_DENIED, as a sentence. A token stands above a certificate.
absl::Status MayRead(const Access& access, const base::PageCaller& caller);

}  // namespace strata::service
