// What fields of a spec ask of each other beyond their own rules. Inner to server/base/spec.
#pragma once

#include "absl/status/status.h"
#include "nlohmann/json.hpp"
#include "strata/v1/trial_spec.pb.h"

namespace strata::base {

// Tasks of fields, options of the scheme (from its entry of the registry, or null), cut-offs, places, ranks, and each
// score's weights, penalties and windows. The spec's fields must obey their own rules already.
absl::Status CheckDetails(const v1::TrialSpec& spec, const nlohmann::json& scheme);

}  // namespace strata::base
