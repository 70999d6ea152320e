// Texts that hold several values: what they are in their one canonical form.
#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/spec/spec.h"
#include "server/base/spec/text.h"

namespace strata::base {
namespace {

absl::Status Refuse(const Field& field, const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(
      absl::StrCat(field.path, ": ", Quoted(text), " ", why, " Write ", Accepts(field), "."));
}

bool IsName(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '-' || c == '.';
  });
}

// A number in its shortest form, any other text as it is.
std::string Shortest(const std::string& text) {
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return text;
  return ShortestNumber(value == 0 ? 0.0 : value);
}

absl::StatusOr<std::string> Item(const Field& field, const std::string& text, const std::string& part) {
  const std::string& form = field.rule->form();
  if (form == "names") {
    if (!IsName(part)) return Refuse(field, text, absl::StrCat("holds ", Quoted(part), ", which is no name."));
    return part;
  }
  if (form == "layers" && part == "last") return part;
  int64_t number = 0;
  const int64_t least = form == "layers" ? 1 : 0;
  if (part.empty() || part.find_first_not_of("0123456789") != std::string::npos || !absl::SimpleAtoi(part, &number) ||
      number < least) {
    return Refuse(field, text,
                  absl::StrCat("holds ", Quoted(part), ", which is no whole number",
                               form == "layers" ? " from 1, nor last." : "."));
  }
  return absl::StrCat(number);
}

absl::StatusOr<std::string> Pair(const Field& field, const std::string& text, const std::string& part) {
  const size_t equals = part.find('=');
  const std::string name = std::string(absl::StripAsciiWhitespace(part.substr(0, equals)));
  const std::string value =
      equals == std::string::npos ? "" : std::string(absl::StripAsciiWhitespace(part.substr(equals + 1)));
  if (!IsName(name) || value.empty() || value.find('=') != std::string::npos) {
    return Refuse(field, text, absl::StrCat("holds ", Quoted(part), ", which is no NAME=VALUE."));
  }
  return absl::StrCat(name, "=", Shortest(value));
}

}  // namespace

absl::StatusOr<std::string> CanonicalText(const Field& field, const std::string& text) {
  const std::string& form = field.rule->form();
  if (form.empty() || text.empty()) return text;
  std::vector<std::string> parts;
  std::set<std::string> names;
  for (const absl::string_view raw : absl::StrSplit(text, ',')) {
    const std::string part(absl::StripAsciiWhitespace(raw));
    const auto canonical = form == "pairs" ? Pair(field, text, part) : Item(field, text, part);
    if (!canonical.ok()) return canonical.status();
    const std::string name = canonical->substr(0, canonical->find('='));
    if (!names.insert(name).second) return Refuse(field, text, absl::StrCat("names ", name, " twice."));
    parts.push_back(*canonical);
  }
  if (form == "pairs") std::sort(parts.begin(), parts.end());
  return absl::StrJoin(parts, ",");
}

std::vector<std::pair<std::string, std::string>> PairsOf(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipEmpty())) {
    const size_t equals = part.find('=');
    if (equals != absl::string_view::npos)
      pairs.emplace_back(std::string(part.substr(0, equals)), std::string(part.substr(equals + 1)));
  }
  return pairs;
}

std::vector<std::string> ItemsOf(const std::string& text) { return absl::StrSplit(text, ',', absl::SkipEmpty()); }

absl::Status Canonicalize(v1::TrialSpec& spec) {
  for (const Field& of_first : AllFields()) {
    if (of_first.rule->form().empty()) continue;
    for (int item = 0; item < (of_first.item < 0 ? 1 : spec.evaluate_size()); ++item) {
      const std::string path = of_first.item < 0
                                   ? of_first.path
                                   : absl::StrCat(of_first.section, "[", item, "].", of_first.descriptor->name());
      const std::string text = *GetField(spec, path);
      if (text.empty()) continue;
      if (absl::Status status = SetField(spec, path, text); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

}  // namespace strata::base
