// What the keys of a spec mean, from the proto's comments and rules and the trainer's registry.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace strata::client {

// `key` is a field ("train.warmup", "scheme"), a section ("train"), a key of the grid's form ("exclude"), a registered
// name
// ("b2t"), or "" for a list of all. INVALID_ARGUMENT with the nearest key for anything else.
absl::StatusOr<std::string> ExplainKey(const std::string& key, const std::string& registry_json);

// JSON Schema (2020-12) of a YAML spec, for editors.
std::string JsonSchema(const std::string& registry_json);

// A complete, commented spec to begin with.
std::string ExampleSpec();

}  // namespace strata::client
