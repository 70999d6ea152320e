// What the poller's unary calls bring.
#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/format.h"
#include "client/names.h"
#include "client/top/poller_call.h"
#include "client/top/score_query.h"

namespace strata::client::top {
namespace {

constexpr int kMostExperiments = 200, kMostScoresAtOnce = 20;

}  // namespace

void Poller::FetchWorkers() {
  v1::ListWorkersRequest request;
  request.set_page_size(1000);
  const auto response = Ask(&v1::WorkerService::Stub::ListWorkers, connection_.workers(), request);
  if (!response.ok()) return;
  base::MutexLock lock(mutex_);
  known_.workers.assign(response->workers().begin(), response->workers().end());
  known_.workers_known = true;
  ++version_;
}

void Poller::FetchExperiments() {
  v1::ListExperimentsRequest request;
  request.set_page_size(kMostExperiments);
  const auto response = Ask(&v1::ExperimentService::Stub::ListExperiments, connection_.experiments(), request);
  if (!response.ok()) return;
  base::MutexLock lock(mutex_);
  known_.experiments.assign(response->experiments().begin(), response->experiments().end());
  known_.experiments_known = true;
  ++version_;
}

std::string Poller::StoredWith(const std::string& job) {
  base::MutexLock lock(mutex_);
  const v1::Trial* trial = known_.Find(ParentOf(job));
  if (trial == nullptr || trial->reused_from().empty()) return job;
  return absl::StrCat(trial->reused_from(), "/jobs/", LastPart(job));
}

void Poller::FetchMeasured(const std::string& job) {
  int attempts = 0;
  {
    base::MutexLock lock(mutex_);
    const v1::Trial* trial = known_.Find(ParentOf(job));
    if (const v1::Job* main = trial == nullptr ? nullptr : MainJob(*trial); main != nullptr)
      attempts = main->attempts_size();
  }
  const std::string stored = StoredWith(job);
  v1::ListSeriesRequest request;
  request.set_job(stored);
  const auto all = Ask(&v1::MetricService::Stub::ListSeries, connection_.metrics(), request);
  if (!all.ok() && !absl::IsNotFound(all.status())) return;
  if (job != measured_ || attempts != measured_attempts_) {  // a new attempt measures some updates again
    measured_ = job;
    measured_attempts_ = attempts;
    seen_.clear();
    base::MutexLock lock(mutex_);
    known_.measured = Measured{};
    known_.measured.job = job;
    ++version_;
  }
  if (!all.ok()) return;
  for (const v1::Series& series : all->series()) {
    const auto seen = seen_.find(absl::StrCat(series.series(), "/", series.stack()));
    if (seen != seen_.end() && seen->second >= series.last_update()) continue;
    const std::string& name = series.series();
    if (name == "gradient_norm_output") FetchVectors(job, stored, series);
    if (name == "train_loss" || name == "valid_nll" || name == "learning_rate") FetchScalars(job, stored, series);
  }
}

void Poller::FetchScalars(const std::string& job, const std::string& stored, const v1::Series& series) {
  int& seen = seen_.emplace(absl::StrCat(series.series(), "/"), -1).first->second;
  v1::QueryScalarsRequest request;
  request.set_job(stored);
  request.set_series(series.series());
  request.set_min_update(seen + 1);
  if (series.series() == "learning_rate") request.set_min_update(series.last_update());  // only how it stands is shown
  do {
    const auto page = Ask(&v1::MetricService::Stub::QueryScalars, connection_.metrics(), request);
    if (!page.ok()) return;
    base::MutexLock lock(mutex_);
    if (known_.measured.job != job) return;
    Measured::Curve& curve = known_.measured.scalars[series.series()];
    for (const v1::ScalarPoint& point : page->points()) {
      curve.updates.push_back(point.update());
      curve.values.push_back(point.value());
      seen = std::max(seen, point.update());
    }
    ++version_;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
}

void Poller::FetchVectors(const std::string& job, const std::string& stored, const v1::Series& series) {
  int& seen = seen_.emplace(absl::StrCat(series.series(), "/", series.stack()), -1).first->second;
  v1::QueryVectorsRequest request;
  request.set_job(stored);
  request.set_series(series.series());
  request.set_stack(series.stack());
  request.set_min_update(seen + 1);
  do {
    const auto page = Ask(&v1::MetricService::Stub::QueryVectors, connection_.metrics(), request);
    if (!page.ok()) return;
    base::MutexLock lock(mutex_);
    if (known_.measured.job != job) return;
    Measured::Rows& rows = known_.measured.gradient_norms[series.stack()];
    for (const v1::VectorPoint& point : page->points()) {
      rows.updates.push_back(point.update());
      rows.values.emplace_back(point.values().begin(), point.values().end());
      seen = std::max(seen, point.update());
    }
    ++version_;
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
}

bool Poller::FetchLog(const std::string& job) {
  if (job != log_) {
    log_ = job;
    log_offset_ = 0;
    log_attempt_ = 0;
  }
  v1::GetJobLogRequest request;
  request.set_name(StoredWith(job));
  request.set_attempt(0);
  request.set_offset(log_offset_);
  auto log = Ask(&v1::JobService::Stub::GetJobLog, connection_.jobs(), request);
  if (log.ok() && log_attempt_ != 0 && log->attempt() != log_attempt_) {  // another attempt's log: from its beginning
    log_offset_ = 0;
    request.set_offset(0);
    log = Ask(&v1::JobService::Stub::GetJobLog, connection_.jobs(), request);
  }
  if (!log.ok() && (absl::IsUnavailable(log.status()) || absl::IsDeadlineExceeded(log.status()))) return false;
  base::MutexLock lock(mutex_);
  if (known_.log.job != job || log_offset_ == 0) {
    known_.log = LogTail{};
    known_.log.job = job;
  }
  ++version_;
  if (!log.ok()) {
    known_.log.error = std::string(log.status().message());
    return false;
  }
  known_.log.Append(log->text());
  known_.log.attempt = log_attempt_ = log->attempt();
  known_.log.complete = log->complete();
  const bool more = log->next_offset() > log_offset_ && !log->complete();
  log_offset_ = log->next_offset();
  return more;
}

void Poller::FetchScores() {
  std::vector<std::pair<std::string, ScoreQuery>> wanted;  // trial, what to ask
  {
    base::MutexLock lock(mutex_);
    for (const v1::Trial& trial : known_.trials) {
      const std::optional<ScoreQuery> query = QueryOf(trial);
      if (!query.has_value()) continue;
      const auto asked = scored_.find(trial.name());
      if (asked != scored_.end() && asked->second == query->attempts) continue;
      wanted.emplace_back(trial.name(), *query);
      if (wanted.size() == kMostScoresAtOnce) break;
    }
  }
  for (const auto& [trial, query] : wanted) {
    for (const std::string& job : query.jobs) {
      v1::QueryScalarsRequest request;
      request.set_job(job);
      request.set_series(query.metric);
      const auto points = Ask(&v1::MetricService::Stub::QueryScalars, connection_.metrics(), request);
      if (!points.ok() && !absl::IsNotFound(points.status())) return;  // asked again at the next turn
      scored_[trial] = query.attempts;
      if (!points.ok() || points->points().empty()) continue;
      base::MutexLock lock(mutex_);
      known_.scores[trial] = {query.metric, points->points(points->points_size() - 1).value()};
      ++version_;
      break;
    }
  }
}

}  // namespace strata::client::top
