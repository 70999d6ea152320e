#include "client/report/cell.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/names.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

std::string KeyOf(const v1::TrialSpec& spec) {
  std::string key;
  for (const base::Field& field : base::AllFields()) {
    if (DecidesResult(field)) absl::StrAppend(&key, *base::GetField(spec, field.path), "\n");
  }
  return key;
}

void AddSeed(ResultCell& cell, const TrialResult& result) {
  for (const TrialResult*& there : cell.seeds) {
    if (there->trial.spec().train().seed() != result.trial.spec().train().seed()) continue;
    if (there->scores.empty() && !result.scores.empty()) there = &result;
    return;
  }
  cell.seeds.push_back(&result);
}

const v1::Job* TrainJob(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() == v1::JOB_KIND_TRAIN || job.kind() == v1::JOB_KIND_PROBE) return &job;
  }
  return nullptr;
}

}  // namespace

bool DecidesResult(const base::Field& field) {
  return field.path != "train.seed" && field.section != "diagnostics" && field.path != "resources.threads" &&
         field.path != "train.log_every" && !absl::StartsWith(field.path, "train.checkpoint_") &&
         !absl::StartsWith(field.path, "train.keep_") && field.item < 0;
}

std::vector<ResultCell> Cells(const Report& report) {
  std::vector<ResultCell> cells;
  std::map<std::string, size_t> index;
  for (const TrialResult& result : report.trials) {
    const v1::TrialSpec& spec = result.trial.spec();
    const auto [at, added] = index.emplace(KeyOf(spec), cells.size());
    if (added) cells.push_back({spec.model().scheme(), spec.model().depth(), result.label, {}});
    AddSeed(cells[at->second], result);
  }
  return cells;
}

Outcome OutcomeOf(const ResultCell& cell) {
  Outcome outcome;
  std::set<std::string> others;
  for (const TrialResult* result : cell.seeds) {
    const v1::Trial& trial = result->trial;
    if (trial.state() == v1::JOB_STATE_SUCCEEDED) {
      ++outcome.succeeded;
    } else if (trial.state() == v1::JOB_STATE_DIVERGED) {
      ++outcome.diverged;
    } else {
      const v1::Job* job = TrainJob(trial);
      others.insert(absl::StrCat(StateName(trial.state()),
                                 job == nullptr || job->cause().empty() ? "" : absl::StrCat(" (", job->cause(), ")")));
    }
  }
  outcome.others.assign(others.begin(), others.end());
  return outcome;
}

double DeviceHours(const v1::Trial& trial) {
  const v1::Job* job = TrainJob(trial);
  if (job == nullptr) return 0;
  double seconds = 0;
  for (const v1::Attempt& attempt : job->attempts()) {
    if (!attempt.has_start_time() || !attempt.has_end_time()) continue;
    seconds += static_cast<double>(attempt.end_time().seconds() - attempt.start_time().seconds()) +
               1e-9 * (attempt.end_time().nanos() - attempt.start_time().nanos());
  }
  return seconds * std::max(1, trial.spec().resources().ranks()) / 3600;
}

std::string DeviceOf(const v1::Trial& trial) {
  const v1::Job* job = TrainJob(trial);
  if (job == nullptr) return "";
  for (auto attempt = job->attempts().rbegin(); attempt != job->attempts().rend(); ++attempt) {
    const auto json = nlohmann::json::parse(attempt->environment(), nullptr, false);
    if (json.is_object() && json.contains("device") && json["device"].is_string()) return json["device"];
  }
  return "";
}

double Mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Deviation(const std::vector<double>& values) {
  if (values.size() < 2) return 0;
  const double mean = Mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - mean) * (value - mean);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

std::string FormatSpread(const std::vector<double>& values, int digits) {
  if (values.empty()) return "";
  if (values.size() == 1) return absl::StrFormat("%.*f", digits, values[0]);
  return absl::StrFormat("%.*f ± %.*f", digits, Mean(values), digits, Deviation(values));
}

}  // namespace strata::client
