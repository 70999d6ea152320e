#include "worker/agent/life.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace strata::agent {

const char* Name(Phase phase) {
  switch (phase) {
    case Phase::kPreparing:
      return "preparing";
    case Phase::kRunning:
      return "running";
    case Phase::kStopping:
      return "stopping";
    case Phase::kEnding:
      return "ending";
    case Phase::kKilling:
      return "killing";
    case Phase::kDraining:
      return "draining";
    case Phase::kCompleting:
      return "completing";
    case Phase::kDone:
      return "done";
  }
  return "?";
}

Action Life::Enter(Phase phase, Action action) {
  phase_ = phase;
  in_phase_ = absl::ZeroDuration();
  killed_ |= action == Action::kKill;
  return action;
}

Action Life::Step(const Sight& sight, absl::Duration elapsed) {
  in_phase_ += std::min(elapsed, absl::Seconds(1));
  const bool alive = !sight.processes_gone;
  if (phase_ == Phase::kDone) return Action::kWait;
  if (sight.wish == Wish::kAbandon) {
    if (alive && phase_ != Phase::kKilling) return Enter(Phase::kKilling, Action::kKill);
    if (alive) return Action::kKill;
    if (sight.to_tell) return Action::kTell;
    return Enter(Phase::kDone, Action::kCleanUp);
  }
  switch (phase_) {
    case Phase::kPreparing:
      if (sight.wish != Wish::kRun || sight.preparing_failed) {
        if (alive) return Enter(Phase::kKilling, Action::kKill);  // some ranks were started, the next could not be
        return Enter(Phase::kDraining, Action::kWait);
      }
      return sight.prepared ? Enter(Phase::kRunning, Action::kStart) : Action::kWait;
    case Phase::kRunning:
      if (!alive) return Enter(Phase::kDraining, Action::kWait);
      if (sight.stalled || sight.preparing_failed || sight.wish == Wish::kStopWithoutCheckpoint) {
        return Enter(Phase::kKilling, Action::kKill);
      }
      if (sight.rank_failed) return Enter(Phase::kEnding, Action::kAskToStop);
      return sight.wish == Wish::kStop ? Enter(Phase::kStopping, Action::kAskToStop) : Action::kWait;
    case Phase::kStopping:
      if (!alive) return Enter(Phase::kDraining, Action::kWait);
      if (sight.rank_failed || sight.wish == Wish::kStopWithoutCheckpoint || in_phase_ >= patience_) {
        return Enter(Phase::kKilling, Action::kKill);
      }
      return Action::kWait;
    case Phase::kEnding:
      if (!alive) return Enter(Phase::kDraining, Action::kWait);
      if (sight.wish == Wish::kStopWithoutCheckpoint || in_phase_ >= grace_) {
        return Enter(Phase::kKilling, Action::kKill);
      }
      return Action::kWait;
    case Phase::kKilling:
      return alive ? Action::kKill : Enter(Phase::kDraining, Action::kWait);
    case Phase::kDraining:
      if (!sight.events_acknowledged || !sight.uploads_done) return Action::kWait;
      return Enter(Phase::kCompleting, Action::kComplete);
    case Phase::kCompleting:
      return sight.completion_accepted ? Enter(Phase::kDone, Action::kCleanUp) : Action::kComplete;
    case Phase::kDone:
      break;
  }
  return Action::kWait;
}

namespace {

std::string WithTail(std::string message, const std::string& tail) {
  if (!tail.empty()) absl::StrAppend(&message, " Last lines of its log:\n", tail);
  return message;
}

Completion Crash(const RankEnd& end) {
  const std::string who = absl::StrCat("rank ", end.rank, " of the trainer");
  Completion crash{"failed", "crashed", ""};
  if (end.kernel_out_of_memory) {
    crash.cause = "out_of_memory";
    crash.message =
        absl::StrCat(who, " was killed by the kernel for want of memory. Make the batch or the model smaller.");
  } else if (end.disk_full) {
    crash.cause = "disk_full";
    crash.message = absl::StrCat(who, " ended with the worker's disk full. Free some space there.");
  } else if (!end.exit.known) {
    crash.message =
        absl::StrCat(who, " ended without a last event while no agent watched; its exit status is unknown.");
  } else if (end.exit.signal == 9) {
    crash.message = absl::StrCat(who, " was killed by signal 9 (SIGKILL), maybe by the kernel for want of memory.");
  } else if (end.exit.signal != 0) {
    crash.message =
        absl::StrCat(who, " was ended by signal ", end.exit.signal, " (", SignalName(end.exit.signal), ").");
  } else if (end.exit.code == 2) {
    crash.cause = "start_failed";
    crash.message = absl::StrCat(who, " refused its command line or spec (exit status 2).");
  } else {
    crash.message = absl::StrCat(who, " ended with exit status ", end.exit.code, " and without a last event.");
  }
  crash.message = WithTail(std::move(crash.message), end.log_tail);
  return crash;
}

std::string Text(const nlohmann::json& event, const char* key) {
  const auto found = event.find(key);
  return found != event.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

// SIGTERM reached it before it listened to it.
static bool EndedByRequest(const RankEnd& end, Wish wish) {
  return wish != Wish::kRun && end.last_word.empty() && end.exit.signal == 15;
}

std::optional<Completion> FailureOf(const RankEnd& end) {
  if (end.last_word.empty()) return Crash(end);
  const auto event = nlohmann::json::parse(end.last_word, nullptr, false);
  if (Text(event, "type") != "failed") return std::nullopt;
  const std::string cause = Text(event, "cause");
  std::string message = Text(event, "message");  // a sentence to a person; the log has the rest
  if (message.empty()) message = WithTail("It failed and did not say why.", end.log_tail);
  return Completion{"failed", cause.empty() ? "internal" : cause, std::move(message)};
}

bool IsOwnFailure(const RankEnd& end, const Completion& failure, bool ending) {
  if (failure.cause == "rank_lost" || failure.cause == "rendezvous_failed") return false;
  return !ending || !end.last_word.empty() || (end.exit.known && end.exit.signal != 9 && end.exit.signal != 15);
}

Completion Judge(const std::vector<RankEnd>& ends, Wish wish, bool killed, int32_t first_failed) {
  for (const RankEnd& end : ends) {
    const auto failure = end.rank == first_failed ? FailureOf(end) : std::nullopt;
    if (failure) return *failure;
  }
  std::string outcome;
  for (const RankEnd& end : ends) {
    const auto event = nlohmann::json::parse(end.last_word, nullptr, false);
    if (Text(event, "type") == "finished") outcome = Text(event, "state");
  }
  if (!outcome.empty()) return Completion{outcome == "diverged" ? "diverged" : "succeeded", "", ""};
  if (wish != Wish::kRun && killed) {
    const bool asked = wish == Wish::kStop;
    return Completion{"stopped", "", asked ? "it did not end in time when asked to stop, and was killed" : ""};
  }
  for (const RankEnd& end : ends) {
    const auto failure = EndedByRequest(end, wish) ? std::nullopt : FailureOf(end);
    if (failure) return *failure;
  }
  return Completion{"stopped", "", ""};
}

Reconciliation Reconcile(const std::vector<Assignment>& assigned, const std::vector<AttemptId>& known, bool leaving) {
  Reconciliation result;
  for (const Assignment& assignment : assigned) {
    const bool here = std::find(known.begin(), known.end(), assignment.id) != known.end();
    if (here) result.update.push_back(assignment);
    if (!here && !leaving) result.start.push_back(assignment);
  }
  for (const AttemptId& id : known) {
    const bool wanted = std::any_of(assigned.begin(), assigned.end(), [&](const Assignment& a) { return a.id == id; });
    if (!wanted) result.abandon.push_back(id);
  }
  return result;
}

}  // namespace strata::agent
