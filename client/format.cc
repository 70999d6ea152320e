#include "client/format.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

namespace strata::client {

std::string FormatDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "-";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrFormat("%d s", whole);
  if (whole < 3600) return absl::StrFormat("%d min %02d s", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%d h %02d min", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%d d %d h", whole / 86400, whole / 3600 % 24);
}

std::string FormatBytes(int64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return absl::StrFormat("%.*f %s", value < 10 ? 1 : 0, value, kUnits[unit]);
}

std::string FormatCount(int64_t count) {
  const std::string digits = absl::StrCat(count < 0 ? -count : count);
  std::string text(count < 0 ? 1 : 0, '-');
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", absl::FromUnixSeconds(time.seconds()), absl::UTCTimeZone());
}

std::string FormatNll(bool present, double nll) {
  if (!present) return "-";
  return std::isfinite(nll) ? absl::StrFormat("%.3f", nll)
         : std::isnan(nll)  ? "NaN"
         : nll > 0          ? "Infinity"
                            : "-Infinity";
}

std::string StateName(v1::JobState state) { return v1::JobState_Name(state).substr(sizeof("JOB_STATE_") - 1); }
std::string KindName(v1::JobKind kind) { return v1::JobKind_Name(kind).substr(sizeof("JOB_KIND_") - 1); }
std::string WorkerStateName(v1::WorkerState state) {
  return v1::WorkerState_Name(state).substr(sizeof("WORKER_STATE_") - 1);
}

bool IsFinal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED || state == v1::JOB_STATE_CANCELLED ||
         state == v1::JOB_STATE_DIVERGED;
}

bool AllResults(const v1::Experiment& experiment) {
  for (const v1::StateCount& count : experiment.states()) {
    const bool result = count.state() == v1::JOB_STATE_SUCCEEDED || count.state() == v1::JOB_STATE_DIVERGED;
    if (!result && count.trials() > 0) return false;
  }
  return true;
}

std::string StateCounts(const v1::Experiment& experiment) {
  return absl::StrJoin(experiment.states(), ", ", [](std::string* out, const v1::StateCount& count) {
    absl::StrAppend(out, count.trials(), " ", StateName(count.state()));
  });
}

}  // namespace strata::client
