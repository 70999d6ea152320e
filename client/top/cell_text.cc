#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/report/report.h"
#include "client/top/board.h"

namespace strata::client::top {
namespace {

const v1::Job* LiveEvaluation(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() == v1::JOB_KIND_EVALUATE && !IsFinal(job.state())) return &job;
  }
  return nullptr;
}

const v1::Job* FailedEvaluation(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() == v1::JOB_KIND_EVALUATE && job.state() == v1::JOB_STATE_FAILED) return &job;
  }
  return nullptr;
}

CellText Queued(const v1::Trial& trial, const Signs& signs) {
  const v1::Job* job = MainJob(trial);
  CellText text{absl::StrCat(signs.queued, " queued"), "", Style::kQueued};
  if (job == nullptr) return text;
  if (job->held()) {
    text.first = absl::StrCat(signs.queued, " held");
  } else if (job->queue_position() > 0) {
    text.first = absl::StrCat(signs.queued, " queued ", job->queue_position());
  }
  if (job->queue_position() == 0) text.second = job->waiting_for();
  if (const int attempts = job->attempts_size(); attempts > 0)
    text.second = absl::StrCat("retry ", attempts, ", at ", trial.updates_done());
  return text;
}

CellText Running(const v1::Trial& trial, absl::Time now, const Signs& signs, size_t width) {
  const int percent = trial.updates() > 0 ? static_cast<int>(100.0 * trial.updates_done() / trial.updates()) : 0;
  const v1::Job* job = MainJob(trial);
  if (job != nullptr && job->kind() == v1::JOB_KIND_PROBE)
    return {absl::StrCat(signs.running, " probing"), "", Style::kRunning};
  const std::string eta = ShortDuration(SecondsLeft(trial, now));
  const std::string done = absl::StrCat(trial.updates_done(), "/", trial.updates());
  CellText text{absl::StrCat(signs.running, " ", percent, "%", eta.empty() ? "" : " ", eta), done, Style::kRunning};
  if (const std::string longer =
          absl::StrCat(signs.running, " ", done, " ", percent, "%", eta.empty() ? "" : " ETA ", eta);
      WidthOf(longer) < width) {
    text.first = longer;
  }
  if (width > 4) {
    const auto full = static_cast<size_t>(std::clamp(percent, 0, 100)) * (width - 3) / 100;
    std::string bar;
    for (size_t i = 0; i < width - 3; ++i) bar += i < full ? signs.bar_full : signs.bar_empty;
    if (text.first.find('/') != std::string::npos) text.second = bar;
  }
  return text;
}

CellText Ended(const v1::Trial& trial, const MainScore* score, const Signs& signs) {
  const std::string nll = trial.has_best_nll() ? absl::StrCat("nll ", FormatNll(true, trial.best_nll())) : "";
  if (const v1::Job* job = LiveEvaluation(trial); job != nullptr) {
    const bool waits = job->state() == v1::JOB_STATE_QUEUED;
    return {absl::StrCat(signs.evaluating, waits ? " trained" : " evaluating"), nll, Style::kRunning};
  }
  if (const v1::Job* job = FailedEvaluation(trial); job != nullptr)
    return {absl::StrCat(signs.failed, " ", LastPart(job->name())), job->cause(), Style::kFailed};
  const v1::Job* job = MainJob(trial);
  if (job != nullptr && job->kind() == v1::JOB_KIND_PROBE)
    return {absl::StrCat(signs.done, " probed"), "", Style::kDone};
  if (score != nullptr) return {absl::StrCat(signs.done, " ", ScoreText(*score)), nll, Style::kDone};
  return {absl::StrCat(signs.done, " ", nll.empty() ? "done" : nll), "", Style::kDone};
}

CellText Diverged(const v1::Trial& trial, const Signs& signs) {
  std::string why = RuleOf(trial);
  if (trial.updates_done() > 0) absl::StrAppend(&why, why.empty() ? "" : " ", "at ", trial.updates_done());
  return {absl::StrCat(signs.diverged, " DIVERGED"), why, Style::kDiverged};
}

// The sign of a state, for a folded cell.
const char* SignOf(v1::JobState state, const Signs& signs) {
  switch (state) {
    case v1::JOB_STATE_PENDING:
      return signs.pending;
    case v1::JOB_STATE_RUNNING:
    case v1::JOB_STATE_CANCELLING:
      return signs.running;
    case v1::JOB_STATE_SUCCEEDED:
      return signs.done;
    case v1::JOB_STATE_DIVERGED:
      return signs.diverged;
    case v1::JOB_STATE_FAILED:
      return signs.failed;
    case v1::JOB_STATE_CANCELLED:
      return signs.cancelled;
    default:
      return signs.queued;
  }
}

}  // namespace

CellText Tell(const v1::Trial& trial, const MainScore* score, absl::Time now, const Signs& signs, size_t width) {
  const v1::Job* job = MainJob(trial);
  const std::string cause = job == nullptr ? "" : job->cause();
  switch (trial.state()) {
    case v1::JOB_STATE_PENDING:
      return {absl::StrCat(signs.pending, " starting"), "", Style::kRunning};
    case v1::JOB_STATE_RUNNING:
      return Running(trial, now, signs, width);
    case v1::JOB_STATE_CANCELLING:
      return {absl::StrCat(signs.cancelled, " cancelling"), "", Style::kCancelled};
    case v1::JOB_STATE_SUCCEEDED:
      return Ended(trial, score, signs);
    case v1::JOB_STATE_DIVERGED:
      return Diverged(trial, signs);
    case v1::JOB_STATE_FAILED: {
      const std::string whole = absl::StrCat(signs.failed, " FAILED ", cause);
      return WidthOf(whole) < width ? CellText{whole, "", Style::kFailed}
                                    : CellText{absl::StrCat(signs.failed, " FAILED"), cause, Style::kFailed};
    }
    case v1::JOB_STATE_CANCELLED:
      return {absl::StrCat(signs.cancelled, " cancelled"), "", Style::kCancelled};
    default:
      return Queued(trial, signs);
  }
}

CellText TellFolded(const std::vector<size_t>& cell, const Knowledge& known, const Signs& signs) {
  std::map<v1::JobState, int> counts;
  double sum = 0;
  int scored = 0;
  for (const size_t i : cell) {
    const v1::Trial& trial = known.trials[i];
    ++counts[trial.state()];
    const auto score = known.scores.find(trial.name());
    if (trial.state() != v1::JOB_STATE_SUCCEEDED || score == known.scores.end()) continue;
    sum += score->second.value;
    ++scored;
  }
  CellText text;
  if (counts.empty()) return text;
  text.style = counts.size() > 1                          ? Style::kText
               : counts.contains(v1::JOB_STATE_SUCCEEDED) ? Style::kDone
               : counts.contains(v1::JOB_STATE_DIVERGED)  ? Style::kDiverged
               : counts.contains(v1::JOB_STATE_FAILED)    ? Style::kFailed
               : counts.contains(v1::JOB_STATE_RUNNING)   ? Style::kRunning
                                                          : Style::kQueued;
  for (const auto& [state, count] : counts)
    absl::StrAppend(&text.first, text.first.empty() ? "" : " ", count, SignOf(state, signs));
  if (scored > 0) absl::StrAppend(&text.first, " ", absl::StrFormat("%.2f", sum / scored));
  return text;
}

std::vector<std::string> Details(const Knowledge& known, const v1::Trial& trial, absl::Time now) {
  std::string first =
      absl::StrCat(ShortName(trial.name()), "  ", CellLabel(known.experiment, trial), "  ", Describe(trial));
  if (trial.updates() > 0) {
    absl::StrAppend(&first, "  update ", trial.updates_done(), "/", trial.updates(),
                    absl::StrFormat(" (%.0f%%)", 100.0 * trial.updates_done() / trial.updates()));
  }
  if (const double left = SecondsLeft(trial, now); left >= 0) absl::StrAppend(&first, "  ETA ", FormatDuration(left));
  std::vector<std::string> parts;
  if (trial.has_best_nll()) parts.push_back(absl::StrCat("best nll ", FormatNll(true, trial.best_nll())));
  if (const auto score = known.scores.find(trial.name()); score != known.scores.end())
    parts.push_back(ScoreText(score->second));
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() != v1::JOB_KIND_EVALUATE || job.state() == v1::JOB_STATE_SUCCEEDED) continue;
    parts.push_back(absl::StrCat(LastPart(job.name()), " ", StateName(job.state()),
                                 job.cause().empty() ? "" : absl::StrCat(" (", job.cause(), ")")));
  }
  const v1::Job* job = MainJob(trial);
  if (job != nullptr && !job->message().empty()) parts.push_back(job->message());
  if (job != nullptr && job->state() == v1::JOB_STATE_QUEUED && !job->waiting_for().empty())
    parts.push_back(job->waiting_for());
  return {first, absl::StrJoin(parts, "  ")};
}

}  // namespace strata::client::top
