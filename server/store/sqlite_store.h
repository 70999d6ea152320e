// The store that lasts: SQLite in WAL mode, synced at every commit. One thread writes, and commits everything that is
// queued at that moment at once; readers have connections of their own. See store.h.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace strata::store {

struct SqliteStoreOptions {
  int64_t max_pages = 0;  // bound of the database's size in pages of 4 KiB; 0: none
  int max_group = 1000;   // transactions committed at once, at most
};

// Opens or creates the database, after bringing it to the newest schema. Holds PATH.lock as long as it lives.
// FailedPrecondition: another process has it open, or its schema is newer than ours. PermissionDenied,
// ResourceExhausted.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& path, SqliteStoreOptions options = {});

}  // namespace strata::store
