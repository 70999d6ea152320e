// `ranks: {min: 2, max: 4}`: the short way to write resources.ranks and resources.min_ranks.
#pragma once

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/spec/yaml_node.h"
#include "server/base/spec/spec.h"

namespace strata::client {

// Is this `{min, max}` where one number of ranks may stand too?
bool IsRankBounds(const base::Field& field, const YAML::Node& node);

// The fields that it sets, with their values. INVALID_ARGUMENT, with the line: another key, one is missing, no whole
// number from 1 to 1024, or min above max.
absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ReadRankBounds(const YamlFile& file,
                                                                                const YAML::Node& node);

}  // namespace strata::client
