#include "server/service/names.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace strata::service {

absl::StatusOr<std::vector<std::string>> ParseName(const std::string& name, const std::string& pattern) {
  const std::vector<std::string> parts = absl::StrSplit(name, '/');
  const std::vector<std::string> wanted = absl::StrSplit(pattern, '/');
  std::vector<std::string> ids;
  bool matches = parts.size() == wanted.size();
  for (size_t i = 0; matches && i < parts.size(); ++i) {
    matches = wanted[i] == "*" ? !parts[i].empty() && parts[i] != "." && parts[i] != ".." : parts[i] == wanted[i];
    if (wanted[i] == "*") ids.push_back(parts[i]);
  }
  if (!matches) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", name, "\" is no name of this kind. Write it as ", pattern, "."));
  }
  return ids;
}

std::string ParentOf(const std::string& name) {
  const size_t id = name.rfind('/');
  if (id == std::string::npos || id == 0) return "";
  const size_t collection = name.rfind('/', id - 1);
  return collection == std::string::npos ? "" : name.substr(0, collection);
}

std::string LeafOf(const std::string& name) { return name.substr(name.rfind('/') + 1); }

bool IsMainLeaf(std::string_view leaf) { return leaf == "train" || leaf == "probe"; }

bool IsId(std::string_view text, size_t longest) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= longest && plain(text[0]) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return plain(c) || c == '-' || c == '.'; });
}

}  // namespace strata::service
