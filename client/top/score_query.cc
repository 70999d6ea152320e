#include "client/top/score_query.h"

#include <stdexcept>

#include "absl/strings/str_cat.h"
#include "model/metrics/sentence_scores.h"

namespace strata::client::top {
namespace {

// The value that a metric's evaluations are compared by.
std::string MainValue(const std::string& metric) {
  try {
    return model::ValuesOf(metric).front();
  } catch (const std::invalid_argument&) {
    return metric;  // of a newer trainer
  }
}

}  // namespace

std::optional<ScoreQuery> QueryOf(const v1::Trial& trial) {
  if (trial.spec().evaluate_size() == 0) return std::nullopt;
  ScoreQuery query{MainValue(trial.spec().evaluate(0).metric()), {}, 0};
  const std::string own = absl::StrCat(trial.name(), "/jobs/evaluate-1");
  for (const v1::Job& job : trial.jobs()) {
    if (job.name() != own || job.state() != v1::JOB_STATE_SUCCEEDED) continue;
    query.jobs.push_back(own);
    query.attempts = job.attempts_size();
  }
  // What was trained for an earlier trial was scored there.
  if (!trial.reused_from().empty()) query.jobs.push_back(absl::StrCat(trial.reused_from(), "/jobs/evaluate-1"));
  if (query.jobs.empty()) return std::nullopt;
  return query;
}

}  // namespace strata::client::top
