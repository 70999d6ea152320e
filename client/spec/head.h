// The keys of a spec that concern the experiment as a whole: its name, what is done with its trials. Each reads the
// value of its key; INVALID_ARGUMENT as ReadSpec says.
#pragma once

#include "absl/status/status.h"
#include "client/spec/yaml_node.h"
#include "strata/v1/resources.pb.h"

namespace strata::client {

absl::Status ReadExperimentName(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec);
absl::Status ReadProbeOnly(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec);
absl::Status ReadPriority(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec);
absl::Status ReadExtends(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec);

}  // namespace strata::client
