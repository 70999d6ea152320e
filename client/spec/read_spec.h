// Reads the YAML of an experiment into its proto, strictly: a key that is unknown, given twice or of another type is
// refused with file, line and the nearest valid key. Which keys there are follows from trial_spec.proto; nothing is
// listed here.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

// `text` is the content of `file_name`, which only names it in errors. Each of `sets` is PATH=VALUE as `--set` takes
// it: it changes all trials, whatever the file says, and a list ("scheme=[post_ln, b2t]") makes or replaces an axis.
// Names of schemes, tasks and metrics are checked against the trainer's registry where `registry_json` is not empty.
// INVALID_ARGUMENT: "grid.yaml:9: depth: ...", a sentence with the remedy.
absl::StatusOr<v1::ExperimentSpec> ReadSpec(const std::string& text, const std::string& file_name,
                                            const std::vector<std::string>& sets, const std::string& registry_json);

// The same of a file; "-" is standard input. NOT_FOUND: there is none of that name.
absl::StatusOr<v1::ExperimentSpec> ReadSpecFile(const std::string& path, const std::vector<std::string>& sets,
                                                const std::string& registry_json);

// A spec that was read before, with `sets` applied to it.
absl::StatusOr<v1::ExperimentSpec> ChangeSpec(const v1::ExperimentSpec& spec, const std::vector<std::string>& sets,
                                              const std::string& registry_json);

}  // namespace strata::client
