// Brings a database to the newest schema. The version stands in SQLite's user_version.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/store/sqlite.h"

namespace strata::store {

// The text of migrations/NNNN_*.sql, in order: number n takes version n - 1 to n.
const std::vector<std::string_view>& Migrations();

// Runs what is missing, all in one transaction. An older database is first copied beside itself, as PATH.v<version>.
// FailedPrecondition, with the file untouched, if its version is newer than the last of `migrations`; names both.
absl::Status Migrate(Connection& connection, const std::string& path, const std::vector<std::string_view>& migrations);

}  // namespace strata::store
