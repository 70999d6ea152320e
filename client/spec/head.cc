#include "client/spec/head.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace strata::client {
namespace {

constexpr size_t kLongestName = 40;

bool LooksLikeAName(const std::string& text) {
  return !text.empty() && text.front() != '-' && text.back() != '-' &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

absl::Status ReadExperimentName(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec) {
  const std::string name = node.IsScalar() ? node.Scalar() : "";
  if (!LooksLikeAName(name) || name.size() > kLongestName) {
    return file.At(node, absl::StrCat("experiment: \"", name, "\" is no name. Write at most ", kLongestName,
                                      " lower-case letters, digits and hyphens, as in depth-by-scheme."));
  }
  spec.set_experiment(name);
  return absl::OkStatus();
}

absl::Status ReadProbeOnly(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec) {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  if (text != "true" && text != "false")
    return file.At(node, absl::StrCat("probe_only: \"", text, "\" is neither true nor false."));
  spec.set_probe_only(text == "true");
  return absl::OkStatus();
}

absl::Status ReadPriority(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec) {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  int32_t priority = 0;
  if (!absl::SimpleAtoi(text, &priority) || priority < -100 || priority > 100) {
    return file.At(node, absl::StrCat("priority: \"", text,
                                      "\" is no whole number from -100 to 100. Higher ones come first; 0 is usual."));
  }
  spec.set_priority(priority);
  return absl::OkStatus();
}

absl::Status ReadExtends(const YamlFile& file, const YAML::Node& node, v1::ExperimentSpec& spec) {
  const std::string collection = "experiments/", name = node.IsScalar() ? node.Scalar() : "";
  const std::string id = name.rfind(collection, 0) == 0 ? name.substr(collection.size()) : name;
  if (!LooksLikeAName(id)) {
    return file.At(node, absl::StrCat("extends: \"", name,
                                      "\" is no experiment. Write one of 'strata list', as in extends: quickstart-1."));
  }
  spec.set_extends(collection + id);
  return absl::OkStatus();
}

}  // namespace strata::client
