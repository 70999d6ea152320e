// What people ask for: submit, cancel, retry, hold, release. And how a job moves.
#include "absl/strings/str_cat.h"
#include "server/core/controller_rules.h"

namespace strata::core {
namespace {

// Why a job that waited for this one is CANCELLED.
const char* UpstreamCause(JobState upstream) {
  switch (upstream) {
    case JobState::kDiverged:
      return "upstream_diverged";
    case JobState::kCancelled:
      return "upstream_cancelled";
    default:
      return "upstream_failed";
  }
}

bool IsUpstreamCause(const std::string& cause) { return cause.starts_with("upstream_"); }

absl::Status CannotRetry(const Job& job) {
  std::string remedy;
  if (job.state == JobState::kDiverged) {
    remedy =
        " DIVERGED is a result, not a fault. To train on past the verdict, submit the trial with on_divergence: "
        "continue.";
  } else if (job.state == JobState::kSucceeded) {
    remedy = " To train it anew, submit it with --force.";
  } else {
    remedy = " It has not ended yet; only a job that is FAILED or CANCELLED can be retried.";
  }
  return absl::FailedPreconditionError(
      absl::StrCat(job.name, " is ", Name(job.state), " and cannot be retried.", remedy));
}

}  // namespace

absl::Status ControllerRules::On(const JobsSubmitted& event) {
  std::set<std::string> names;
  for (const Job& job : event.jobs) {
    if (c_.state_.jobs.contains(job.name) || !names.insert(job.name).second) {
      return absl::AlreadyExistsError(absl::StrCat("there is a job ", job.name, " already"));
    }
    if (job.ranks < 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(job.name, ": ranks is ", job.ranks, ". A job needs at least one."));
    }
    if (const absl::Status feasible = c_.CheckFeasible(job); !feasible.ok()) return feasible;
  }
  for (const Job& job : event.jobs) {
    if (!job.upstream.empty() && !names.contains(job.upstream) && !c_.state_.jobs.contains(job.upstream)) {
      return absl::InvalidArgumentError(
          absl::StrCat(job.name, " waits for ", job.upstream, ", which is no job that is known"));
    }
  }
  for (Job job : event.jobs) {
    job.order = c_.next_order_++;
    job.state = JobState::kQueued;
    job.create_time = now_;
    job.attempts = job.failures = 0;
    if (job.max_attempts < 1) job.max_attempts = c_.options_.max_attempts;
    const std::string name = job.name;
    c_.Index(c_.state_.jobs[name] = std::move(job));
    Changed(name);
  }
  for (const Job& job : event.jobs) {
    const auto upstream = c_.state_.jobs.find(job.upstream);
    if (upstream != c_.state_.jobs.end() && IsFinal(upstream->second.state)) CancelDependents(upstream->second, true);
  }
  room_changed_ = true;
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const CancelRequested& event) {
  const auto found = c_.state_.jobs.find(event.job);
  if (found == c_.state_.jobs.end()) return absl::NotFoundError(absl::StrCat("there is no job ", event.job));
  const JobState before = found->second.state;
  if (before == JobState::kCancelled && IsUpstreamCause(found->second.cause)) {
    Changed(event.job).cause = "cancelled";  // so that a retry of its upstream does not bring it back
    return absl::OkStatus();
  }
  if (before == JobState::kCancelling || before == JobState::kCancelled) return absl::OkStatus();
  if (const auto next = Next(before, JobEvent::kCancelAsked); !next.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(event.job, " has ended already: it is ", Name(before), "."));
  }
  Job& job = Changed(event.job);
  Move(job, JobEvent::kCancelAsked);
  job.cause = "cancelled";
  job.message = "Cancelled on request.";
  if (job.state == JobState::kCancelled) {
    CancelDependents(job, false);
    room_changed_ = true;  // it may have been the one that the others waited behind
    return absl::OkStatus();
  }
  for (const RankPlace& place : c_.state_.attempts.at({job.name, job.attempts}).places) {
    if (!place.done) Touch(place.worker);
  }
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const RetryRequested& event) {
  const auto found = c_.state_.jobs.find(event.job);
  if (found == c_.state_.jobs.end()) return absl::NotFoundError(absl::StrCat("there is no job ", event.job));
  if (!Next(found->second.state, JobEvent::kRetryAsked).ok()) return CannotRetry(found->second);
  if (const auto at = c_.state_.jobs.find(found->second.upstream); at != c_.state_.jobs.end()) {
    const Job& upstream = at->second;
    if (IsFinal(upstream.state) && !Satisfies(upstream, found->second)) {
      if (upstream.state == JobState::kDiverged) return CannotRetry(upstream);
      return absl::FailedPreconditionError(absl::StrCat(event.job, " waits for ", upstream.name, ", which is ",
                                                        Name(upstream.state), ". Retry that one; this one follows."));
    }
  }
  std::vector<std::string> again = {event.job};
  for (size_t i = 0; i < again.size(); ++i) {
    Job& job = Changed(again[i]);
    Move(job, JobEvent::kRetryAsked);
    job.failures = 0;
    job.not_before = absl::InfinitePast();
    job.cause.clear();
    job.message.clear();
    for (const std::string& name : c_.dependents_[job.name]) {
      const Job& dependent = c_.state_.jobs.at(name);
      if (dependent.state == JobState::kCancelled && IsUpstreamCause(dependent.cause)) again.push_back(name);
    }
  }
  room_changed_ = true;
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const HoldRequested& event) {
  const auto found = c_.state_.jobs.find(event.job);
  if (found == c_.state_.jobs.end()) return absl::NotFoundError(absl::StrCat("there is no job ", event.job));
  if (IsFinal(found->second.state)) {
    return absl::FailedPreconditionError(
        absl::StrCat(event.job, " has ended already: it is ", Name(found->second.state), "."));
  }
  if (found->second.held) return absl::OkStatus();
  Changed(event.job).held = true;
  room_changed_ = true;  // it may have been the one that the others waited behind
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const ReleaseRequested& event) {
  const auto found = c_.state_.jobs.find(event.job);
  if (found == c_.state_.jobs.end()) return absl::NotFoundError(absl::StrCat("there is no job ", event.job));
  if (!found->second.held) return absl::OkStatus();
  Changed(event.job).held = false;
  room_changed_ = true;
  return absl::OkStatus();
}

void ControllerRules::Move(Job& job, JobEvent event) {
  if (job.state == JobState::kQueued) c_.queue_.erase(Controller::KeyOf(job));
  job.state = Next(job.state, event).value();
  if (job.state == JobState::kQueued) c_.queue_.insert(Controller::KeyOf(job));
  job.end_time = IsFinal(job.state) ? now_ : absl::InfiniteFuture();
}

void ControllerRules::CancelDependents(const Job& upstream, bool trained_to_end) {
  const auto dependents = c_.dependents_.find(upstream.name);
  if (dependents == c_.dependents_.end()) return;
  for (const std::string& name : dependents->second) {
    if (c_.state_.jobs.at(name).state != JobState::kQueued) continue;
    if (Satisfies(upstream, c_.state_.jobs.at(name)) && trained_to_end) continue;
    Job& job = Changed(name);
    Move(job, JobEvent::kUpstreamEnded);
    job.cause = UpstreamCause(upstream.state);
    job.message = absl::StrCat("It waited for ", upstream.name, ", which is ", Name(upstream.state), ".");
    CancelDependents(job, false);
  }
}

}  // namespace strata::core
