#include "client/spec/yaml_node.h"

#include <set>

#include "absl/strings/str_cat.h"

namespace strata::client {
namespace {

constexpr size_t kLargestFile = 1 << 20;

}  // namespace

absl::StatusOr<YAML::Node> YamlFile::Parse(const std::string& text) const {
  if (text.size() > kLargestFile) return absl::InvalidArgumentError(absl::StrCat(name_, ": a spec has at most 1 MiB."));
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1)
      return At(documents[1], "A file holds one experiment. Put the second document into a file of its own.");
    return documents.empty() ? YAML::Node() : documents[0];
  } catch (const YAML::Exception& error) {
    const std::string line = with_lines_ && error.mark.line >= 0 ? absl::StrCat(":", error.mark.line + 1) : "";
    return absl::InvalidArgumentError(absl::StrCat(name_, line, ": This is not YAML: ", error.msg, "."));
  }
}

absl::Status YamlFile::At(const YAML::Node& node, const std::string& message) const {
  const int line = node.Mark().line;
  return absl::InvalidArgumentError(
      absl::StrCat(name_, with_lines_ && line >= 0 ? absl::StrCat(":", line + 1) : "", ": ", message));
}

absl::StatusOr<std::vector<MapEntry>> YamlFile::Map(const YAML::Node& node, const std::string& what,
                                                    const std::string& example) const {
  if (node.IsNull()) return std::vector<MapEntry>();
  if (!node.IsMap())
    return At(node, absl::StrCat("Expected keys and values of ", what, ". Write them as ", example, "."));
  std::vector<MapEntry> entries;
  std::set<std::string> seen;
  for (const auto& pair : node) {
    if (!pair.first.IsScalar())
      return At(pair.first, absl::StrCat("A key of ", what, " is not a word. Write ", example, "."));
    const std::string key = pair.first.Scalar();
    if (!seen.insert(key).second)
      return At(pair.first, absl::StrCat("\"", key, "\" stands twice in ", what, ". Keep one."));
    entries.push_back({key, pair.first, pair.second});
  }
  return entries;
}

absl::StatusOr<std::vector<YAML::Node>> YamlFile::List(const YAML::Node& node, const std::string& what,
                                                       const std::string& example) const {
  if (node.IsNull()) return std::vector<YAML::Node>();
  if (!node.IsSequence()) return At(node, absl::StrCat(what, " is a list. Write ", what, ": ", example, "."));
  return std::vector<YAML::Node>(node.begin(), node.end());
}

}  // namespace strata::client
