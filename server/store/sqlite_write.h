// The writes of a transaction, as SQL. See transaction.h.
#pragma once

#include "absl/status/status.h"
#include "server/store/sqlite.h"
#include "server/store/transaction.h"

namespace strata::store {

// Applies one write within the open transaction.
absl::Status ApplyWrite(Connection& db, const Write& write);

}  // namespace strata::store
