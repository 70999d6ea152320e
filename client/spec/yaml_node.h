// YAML as values with places: a thin, strict layer over yaml-cpp whose errors name file and line.
#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::client {

// One `key: value` of a map.
struct MapEntry {
  std::string key;
  YAML::Node key_node;
  YAML::Node value;
};

class YamlFile {
 public:
  explicit YamlFile(std::string name, bool with_lines = true) : name_(std::move(name)), with_lines_(with_lines) {}

  const std::string& name() const { return name_; }

  // One document. INVALID_ARGUMENT: not YAML, or more than one document.
  absl::StatusOr<YAML::Node> Parse(const std::string& text) const;

  // "grid.yaml:9: message" as INVALID_ARGUMENT.
  absl::Status At(const YAML::Node& node, const std::string& message) const;

  // The entries in the order of the file. INVALID_ARGUMENT: `node` is no map, or has a key twice. `what` and `example`
  // say what should stand there.
  absl::StatusOr<std::vector<MapEntry>> Map(const YAML::Node& node, const std::string& what,
                                            const std::string& example) const;

  // The items of a list; none where nothing is written. INVALID_ARGUMENT: `node` is no list.
  absl::StatusOr<std::vector<YAML::Node>> List(const YAML::Node& node, const std::string& what,
                                               const std::string& example) const;

 private:
  std::string name_;
  bool with_lines_;
};

}  // namespace strata::client
