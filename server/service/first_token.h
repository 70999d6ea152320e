// How the first admin comes in, before there is anybody to make tokens.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/service/access.h"

namespace strata::service {

// With an existing `path`: its secret is the token "root" of role admin, for a year from now. With none: where no admin's token
// is valid, "root" is made and its secret written to `path`, mode 0600. InvalidArgument: the file holds no good secret.
absl::Status EnsureAdminToken(Access& access, Coordinator& coordinator, const std::string& path, bool given);

// Makes "root" anew in a database that no coordinator has open, and returns its secret. Ends the one before.
absl::StatusOr<std::string> CreateAdminToken(const std::string& data_dir);

}  // namespace strata::service
