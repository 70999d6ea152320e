#include "client/spec/ranks.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace strata::client {
namespace {

constexpr char kExample[] = "{min: 2, max: 4}";

}  // namespace

bool IsRankBounds(const base::Field& field, const YAML::Node& node) {
  return node.IsMap() && field.path == "resources.ranks";
}

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ReadRankBounds(const YamlFile& file,
                                                                                const YAML::Node& node) {
  auto entries = file.Map(node, "ranks", kExample);
  if (!entries.ok()) return entries.status();
  int least = 0, most = 0;
  for (const MapEntry& entry : *entries) {
    if (entry.key != "min" && entry.key != "max") {
      return file.At(entry.key_node,
                     absl::StrCat("\"", entry.key, "\" is no key of ranks. There are min and max, as in ", kExample,
                                  "; or write one number."));
    }
    int& bound = entry.key == "min" ? least : most;
    if (!entry.value.IsScalar() || !absl::SimpleAtoi(entry.value.Scalar(), &bound) || bound < 1 || bound > 1024) {
      return file.At(entry.value, absl::StrCat("ranks: ", entry.key,
                                               " is no whole number from 1 to 1024. Write it as in ", kExample, "."));
    }
  }
  if (least == 0 || most == 0) {
    return file.At(node, absl::StrCat("ranks: ", least == 0 ? "min" : "max", " is missing. Write both, as in ",
                                      kExample, ", or one number."));
  }
  if (least > most) {
    return file.At(node,
                   absl::StrCat("ranks: min is ", least, ", but max is ", most, ". Lower the one or raise the other."));
  }
  return std::vector<std::pair<std::string, std::string>>{{"resources.ranks", absl::StrCat(most)},
                                                          {"resources.min_ranks", absl::StrCat(least)}};
}

}  // namespace strata::client
