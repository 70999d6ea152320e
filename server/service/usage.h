// Who takes how much room on the coordinator's disk.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/service/data_folder.h"
#include "server/store/store.h"
#include "strata/v1/upkeep_service.pb.h"

namespace strata::service {

// Of the experiment `name`, or with an empty name of everything. Each file counts once, however many links it has, so
// the parts and the folders themselves add up to what `du` says. NotFound.
absl::Status MeasureUsage(store::Store& store, const DataFolder& folder, const std::string& name,
                          v1::GetUsageResponse& usage);

}  // namespace strata::service
