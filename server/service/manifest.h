// What the coordinator reads of a dataset's manifest.json (docs/DATASETS.md).
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/store/rows.h"

namespace strata::service {

struct Manifest {
  store::Dataset dataset;  // without create_time; incomplete
  std::vector<store::DatasetFile> files;
};

// InvalidArgument says where it is wrong. Paths are checked: relative, no "..", nothing hidden, none twice.
absl::StatusOr<Manifest> ParseManifest(const std::string& text);

}  // namespace strata::service
