// Attempts: how they begin, what they report, how they end.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/controller_rules.h"

namespace strata::core {
namespace {

constexpr char kShutDown[] = " stopped it while shutting down.";

bool AllDone(const Attempt& attempt) {
  return std::all_of(attempt.places.begin(), attempt.places.end(), [](const RankPlace& place) { return place.done; });
}

bool HasCompleted(const Attempt& attempt, const std::string& worker) {
  bool any = false;
  for (const RankPlace& place : attempt.places) {
    if (place.worker != worker) continue;
    if (!place.done) return false;
    any = true;
  }
  return any;
}

}  // namespace

absl::Status ControllerRules::On(const RankStarted& event) {
  if (const absl::Status status = c_.CheckAttempt(event.job, event.attempt); !status.ok()) return status;
  const AttemptKey key{event.job, event.attempt};
  const Attempt& now = c_.state_.attempts.at(key);
  if (event.rank < 0 || event.rank >= static_cast<int32_t>(now.places.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat("rank ", event.rank, " is none of the ", now.places.size(), " ranks of ", event.job));
  }
  if (now.places[event.rank].up) return absl::OkStatus();
  Attempt& attempt = Changed(key);
  attempt.places[event.rank].up = true;
  ++attempt.ranks_up;
  if (attempt.ranks_up == static_cast<int32_t>(attempt.places.size()) &&
      c_.state_.jobs.at(event.job).state == JobState::kPending) {
    Move(Changed(event.job), JobEvent::kRanksUp);
    if (attempt.ranks_up < c_.state_.jobs.at(event.job).ranks) c_.small_since_[key] = now_;
  }
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const RendezvousOpened& event) {
  if (const absl::Status status = c_.CheckAttempt(event.job, event.attempt); !status.ok()) return status;
  const AttemptKey key{event.job, event.attempt};
  if (c_.state_.attempts.at(key).rendezvous == event.address) return absl::OkStatus();
  Attempt& attempt = Changed(key);
  attempt.rendezvous = event.address;
  for (const RankPlace& place : attempt.places) Touch(place.worker);
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const CheckpointAcknowledged& event) {
  if (const absl::Status status = c_.CheckAttempt(event.job, event.attempt); !status.ok()) return status;
  if (event.update <= c_.state_.jobs.at(event.job).checkpoint_update) return absl::OkStatus();
  Changed(event.job).checkpoint_update = event.update;
  return absl::OkStatus();
}

// Repeated after the attempt has ended: OK where this worker's completion was counted, stale_attempt where the attempt
// was ended without it or is no longer the job's last. The agent may drop the attempt either way.
absl::Status ControllerRules::On(const AttemptCompleted& event) {
  const AttemptKey key{event.job, event.attempt};
  if (Tell(event)) return absl::OkStatus();
  if (const Attempt* known = c_.Find(key); known != nullptr && HasCompleted(*known, event.worker)) {
    return absl::OkStatus();
  }
  if (const absl::Status status = c_.CheckAttempt(event.job, event.attempt); !status.ok()) return status;
  const auto found = c_.state_.attempts.find(key);
  const auto& places = found->second.places;
  if (std::none_of(places.begin(), places.end(),
                   [&](const RankPlace& place) { return place.worker == event.worker; })) {
    return absl::FailedPreconditionError(
        absl::StrCat("stale_attempt: attempt ", event.attempt, " of ", event.job, " has no rank on ", event.worker));
  }
  const bool succeeded = event.outcome == "succeeded", diverged = event.outcome == "diverged",
             stopped = event.outcome == "stopped";
  if (!succeeded && !diverged && !stopped && event.outcome != "failed") {
    return absl::InvalidArgumentError(
        absl::StrCat("outcome: \"", event.outcome, "\" is none. Use succeeded, diverged, stopped or failed."));
  }
  Close(Changed(key), event.worker);
  Note(found->second, event);
  if (c_.state_.jobs.at(event.job).state == JobState::kCancelling) {
    if (AllDone(found->second)) CancelEnded(key);
  } else if (stopped) {
    if (found->second.stop_reason.empty()) {
      // Nobody here asked for it: the agent is shutting down and will sign off, so nothing new goes there for a while.
      c_.desks_[event.worker].barred_until = now_ + c_.options_.lease_duration;
      Stop(key, absl::StrCat("Worker ", event.worker, kShutDown));
    }
    if (AllDone(found->second)) Requeue(key, std::string(found->second.stop_reason));
  } else if (!succeeded && !diverged) {
    if (event.fall_back_to.has_value()) Changed(event.job).checkpoint_update = *event.fall_back_to;
    Fail(key, event.worker, "failed", event.cause, event.message, event.fall_back_to.has_value());
  } else if (AllDone(found->second)) {  // all ranks hold the same weights, so the last to complete speaks for all
    End(key, event.outcome, event.cause, event.message);
    Job& job = Changed(event.job);
    Move(job, succeeded ? JobEvent::kSucceeded : JobEvent::kDiverged);
    job.cause = event.cause;
    job.message = event.message;
    if (diverged) CancelDependents(job, event.trained_to_end);
  }
  return absl::OkStatus();
}

void ControllerRules::Begin(const Placement& placement) {
  Job& job = Changed(placement.job);
  Move(job, JobEvent::kPlaced);
  const AttemptKey last{job.name, job.attempts};
  if (attempts_.erase(last) > 0) replaced_.push_back(c_.state_.attempts.at(last));
  if (c_.awaited_.contains(last)) c_.ended_gangs_[last] = std::move(c_.state_.attempts.at(last));
  c_.state_.attempts.erase(last);
  ++job.attempts;
  job.cause.clear();
  job.message.clear();
  const AttemptKey key{job.name, job.attempts};
  c_.state_.attempts[key] = Attempt{.job = job.name,
                                    .number = job.attempts,
                                    .places = placement.places,
                                    .start_time = now_,
                                    .resumed_from = job.checkpoint_update};
  Attempt& attempt = Changed(key);
  for (const RankPlace& place : attempt.places) wake_.insert(place.worker);
  c_.Open(attempt, now_);
}

void ControllerRules::Close(Attempt& attempt, const std::string& worker) {
  for (RankPlace& place : attempt.places) {
    if (place.worker == worker) place.done = true;
  }
  c_.desks_[worker].assigned.erase({attempt.job, attempt.number});
  Touch(worker);
  room_changed_ = true;
}

void ControllerRules::End(const AttemptKey& key, std::string_view outcome, std::string_view cause,
                          std::string_view message) {
  Attempt& attempt = Changed(key);
  attempt.outcome = outcome;
  attempt.cause = cause;
  attempt.message = message;
  attempt.end_time = now_;
  c_.small_since_.erase(key);
  for (const RankPlace& place : attempt.places) {
    if (c_.desks_[place.worker].assigned.erase(key) > 0) Touch(place.worker);
  }
  room_changed_ = true;
}

void ControllerRules::MarkFailed(Attempt& attempt, const std::string& worker) {
  for (RankPlace& place : attempt.places) place.failed = place.worker == worker;
}

void ControllerRules::Fail(const AttemptKey& key, const std::string& worker, std::string_view outcome,
                           std::string_view cause, const std::string& message, bool mends) {
  if (c_.state_.jobs.at(key.first).state == JobState::kCancelling) return CancelEnded(key);
  End(key, outcome, cause, message);
  MarkFailed(Changed(key), worker);
  Job& job = Changed(key.first);
  ++job.failures;
  mends = mends || CanMend(cause);
  const bool again = mends && job.failures < job.max_attempts;
  Move(job, again ? JobEvent::kRequeued : JobEvent::kFailed);
  job.cause = cause;
  job.message = message;
  if (again) {
    job.not_before = now_ + Backoff(job.failures, c_.options_.first_backoff, c_.options_.longest_backoff);
    if (cause == "checkpoint_corrupt") {
      absl::StrAppend(&job.message, message.empty() ? "" : " ",
                      job.checkpoint_update < 0 ? "No older one is left: it begins anew."
                                                : absl::StrCat("It goes on from update ", job.checkpoint_update, "."));
    }
  } else {
    if (mends) absl::StrAppend(&job.message, message.empty() ? "" : " ", "Given up after ", job.failures, " failures.");
    CancelDependents(job, false);
  }
  Await(key);
}

void ControllerRules::Requeue(const AttemptKey& key, const std::string& message) {
  if (c_.state_.jobs.at(key.first).state == JobState::kCancelling) return CancelEnded(key);
  End(key, "stopped", "", message);
  Job& job = Changed(key.first);
  Move(job, JobEvent::kRequeued);
  job.message = message;
  // What was stopped on purpose keeps its turn. A pause else, so that a trainer which always stops does not spin.
  const bool on_purpose = !c_.Find(key)->stop_reason.empty() && !c_.Find(key)->stop_reason.ends_with(kShutDown);
  job.not_before = on_purpose ? absl::InfinitePast() : now_ + c_.options_.first_backoff;
}

void ControllerRules::CancelEnded(const AttemptKey& key) {
  Job& job = Changed(key.first);
  End(key, "cancelled", "cancelled", job.message);
  Move(job, JobEvent::kFailed);  // whatever ended it: CANCELLED
  CancelDependents(job, false);
}

void ControllerRules::Place() {
  const Plan plan = Schedule(c_.View(now_), now_);
  for (const Placement& placement : plan.placements) Begin(placement);
}

}  // namespace strata::core
