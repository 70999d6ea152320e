#include "server/service/retention.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace strata::service {
namespace {

using Field = absl::Duration Retention::*;

constexpr std::array<std::pair<const char*, Field>, 5> kFields = {{{"resumable", &Retention::resumable},
                                                                   {"epochs", &Retention::epochs},
                                                                   {"logs", &Retention::logs},
                                                                   {"vectors", &Retention::vectors},
                                                                   {"datasets", &Retention::datasets}}};

}  // namespace

absl::StatusOr<absl::Duration> ParseAge(absl::string_view text) {
  if (text == "never") return absl::InfiniteDuration();
  int64_t count = 0;
  if (text.size() >= 2 && absl::SimpleAtoi(text.substr(0, text.size() - 1), &count) && count >= 0 && count < 1000000) {
    switch (text.back()) {
      case 'd':
        return absl::Hours(24) * count;
      case 'h':
        return absl::Hours(count);
      case 's':
        return absl::Seconds(count);
      default:
        break;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat("\"", text, "\" is no age. Write it as 30d, 12h, 600s or never."));
}

std::string AgeText(absl::Duration age) {
  if (age == absl::InfiniteDuration()) return "never";
  const int64_t seconds = absl::ToInt64Seconds(age);
  if (seconds % 86400 == 0) return absl::StrCat(seconds / 86400, "d");
  return seconds % 3600 == 0 ? absl::StrCat(seconds / 3600, "h") : absl::StrCat(seconds, "s");
}

absl::StatusOr<Retention> ParseRetention(const std::string& text) {
  Retention retention;
  for (const absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::vector<absl::string_view> sides = absl::StrSplit(part, absl::MaxSplits('=', 1));
    const std::string kind(absl::StripAsciiWhitespace(sides[0]));
    Field field = nullptr;
    for (const auto& [name, at] : kFields) {
      if (kind == name) field = at;
    }
    if (field == nullptr || sides.size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrCat("retention: \"", part,
                       "\" is no part of a policy. Write KIND=AGE, as in resumable=30d,logs=90d; "
                       "kinds are resumable, epochs, logs, vectors and datasets."));
    }
    const auto age = ParseAge(absl::StripAsciiWhitespace(sides[1]));
    if (!age.ok()) return absl::InvalidArgumentError(absl::StrCat("retention: ", kind, ": ", age.status().message()));
    retention.*field = *age;
  }
  return retention;
}

std::string RetentionText(const Retention& retention) {
  std::vector<std::string> parts;
  for (const auto& [name, field] : kFields) parts.push_back(absl::StrCat(name, "=", AgeText(retention.*field)));
  return absl::StrJoin(parts, ",");
}

}  // namespace strata::service
