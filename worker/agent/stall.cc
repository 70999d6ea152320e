#include "worker/agent/stall.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace strata::agent {
namespace {

constexpr size_t kPaces = 101;
constexpr double kLeastSeconds = 60, kUpdates = 5;

}  // namespace

void StallWatch::Pace(double seconds) {
  if (!(seconds > 0) || !std::isfinite(seconds)) return;
  begun_ = true;
  if (paces_.size() < kPaces) {
    paces_.push_back(seconds);
  } else {
    paces_[next_++ % kPaces] = seconds;
  }
}

void StallWatch::Step(int64_t told, absl::Duration elapsed) {
  if (told != told_) {
    told_ = told;
    silent_ = absl::ZeroDuration();
    return;
  }
  silent_ += std::min(elapsed, absl::Seconds(1));
}

double StallWatch::Median() const {
  if (paces_.empty()) return 0;
  std::vector<double> sorted = paces_;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return *middle;
}

absl::Duration StallWatch::limit() const {
  if (!begun_) return std::max(asked_, start_);
  if (asked_ > absl::ZeroDuration()) return asked_;
  return absl::Seconds(std::max(kLeastSeconds, kUpdates * Median()));
}

std::string StallWatch::Explain() const {
  std::string why;
  if (!begun_) {
    why = "none had ended before";
  } else if (asked_ > absl::ZeroDuration()) {
    why = absl::StrCat("resources.stall_seconds is ", absl::ToInt64Seconds(asked_));
  } else {
    why = absl::StrCat("the larger of 60 s and 5 median updates of ", std::round(Median() * 1000) / 1000,
                       " s; resources.stall_seconds sets another limit");
  }
  return absl::StrCat("for ", absl::ToInt64Seconds(limit()), " s (", why, ")");
}

absl::Duration StallLimit(const std::string& spec_json) {
  const auto spec = nlohmann::json::parse(spec_json, nullptr, false);
  if (!spec.is_object() || !spec.contains("resources")) return absl::ZeroDuration();
  const auto& resources = spec["resources"];
  if (!resources.is_object() || !resources.contains("stall_seconds")) return absl::ZeroDuration();
  const auto& seconds = resources["stall_seconds"];
  return seconds.is_number() ? absl::Seconds(seconds.get<double>()) : absl::ZeroDuration();
}

}  // namespace strata::agent
