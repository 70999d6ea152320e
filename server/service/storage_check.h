// Is all that is stored whole? Reads the database and every file that it names.
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "server/service/data_folder.h"
#include "server/store/store.h"

namespace strata::service {

struct CheckProgress {
  std::string finding;    // one line; empty: only how far it has come
  bool harmless = false;  // nothing is lost: a file without a row
  int64_t files = 0, bytes = 0;
};

// Tells of each finding, and of the progress after each file. With `quick` names and lengths only. Ends early, with
// Cancelled, when `tell` returns false. What is deleted meanwhile is no finding.
absl::Status CheckStorage(store::Store& store, const DataFolder& folder, bool quick,
                          const std::function<bool(const CheckProgress&)>& tell);

}  // namespace strata::service
