// The writes of a transaction, as SQL. See transaction.h.
#pragma once

#include "absl/status/status.h"
#include "server/store/sqlite.h"
#include "server/store/transaction.h"

namespace strata::store {

// Applies one write within the open transaction.
absl::Status ApplyWrite(Connection& db, const Write& write);

// In sqlite_upkeep.cc.
absl::Status Erase(Connection& db, const EraseExperiments& w);
absl::Status Erase(Connection& db, const EraseDataset& w);
absl::Status Erase(Connection& db, const EraseVectors& w);

}  // namespace strata::store
