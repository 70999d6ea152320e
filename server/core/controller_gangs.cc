// Attempts of several ranks: cordon and drain, going on with more or fewer ranks, and what a gang tells after its end.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/collectives.h"
#include "server/core/controller_rules.h"

namespace strata::core {
namespace {

absl::Status NoSuchWorker(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("there is no worker ", name, ". strata workers lists them."));
}

// All its ranks are on slots of one kind; a slot that its worker offers no longer counts as a share of cores.
bool OnGpus(const State& state, const Attempt& attempt) {
  const RankPlace& place = attempt.places.front();
  const auto worker = state.workers.find(place.worker);
  if (worker == state.workers.end()) return false;
  return std::any_of(worker->second.slots.begin(), worker->second.slots.end(),
                     [&](const Slot& slot) { return slot.index == place.slot && slot.gpu(); });
}

// What the rank that tells such a cause knows of the attempt's end.
int Knowledge(std::string_view cause) { return cause == "rank_lost" ? 0 : cause == "rendezvous_failed" ? 1 : 2; }

}  // namespace

absl::Status ControllerRules::On(const CordonRequested& event) {
  const auto found = c_.state_.workers.find(event.worker);
  if (found == c_.state_.workers.end()) return NoSuchWorker(event.worker);
  if (found->second.cordoned) return absl::OkStatus();
  ChangedWorker(event.worker).cordoned = true;
  MoveElastic(event.worker);
  room_changed_ = true;  // a gang that needs its slots no longer keeps its turn
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const UncordonRequested& event) {
  const auto found = c_.state_.workers.find(event.worker);
  if (found == c_.state_.workers.end()) return NoSuchWorker(event.worker);
  if (!found->second.cordoned && !found->second.draining) return absl::OkStatus();
  Worker& worker = ChangedWorker(event.worker);
  worker.cordoned = worker.draining = false;
  Touch(event.worker);
  room_changed_ = true;
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const DrainRequested& event) {
  const auto found = c_.state_.workers.find(event.worker);
  if (found == c_.state_.workers.end()) return NoSuchWorker(event.worker);
  const bool gone = found->second.state == WorkerState::kGone;  // nothing is left to drain
  if (found->second.cordoned && (found->second.draining || gone)) return absl::OkStatus();
  Worker& worker = ChangedWorker(event.worker);
  worker.cordoned = true;
  worker.draining = !gone;
  const auto assigned = c_.desks_[event.worker].assigned;
  for (const auto& [key, generation] : assigned) {
    Stop(key, absl::StrCat("Stopped because worker ", event.worker, " is drained."));
  }
  Touch(event.worker);
  room_changed_ = true;
  return absl::OkStatus();
}

void ControllerRules::Stop(const AttemptKey& key, const std::string& reason) {
  if (!c_.state_.attempts.at(key).stop_reason.empty()) return;
  Attempt& attempt = Changed(key);
  attempt.stop_reason = reason;
  for (const RankPlace& place : attempt.places) {
    if (!place.done) Touch(place.worker);
  }
}

void ControllerRules::MoveElastic(const std::string& worker) {
  Room free = FreeSlots(c_.WorkersView(now_));
  const auto assigned = c_.desks_[worker].assigned;
  for (const auto& [key, generation] : assigned) {
    const Job& job = c_.state_.jobs.at(key.first);
    const Attempt& attempt = c_.state_.attempts.at(key);
    const int32_t least = LeastRanks(job);
    if (least == job.ranks || job.held || !attempt.stop_reason.empty()) continue;
    const auto kept =
        static_cast<int32_t>(std::count_if(attempt.places.begin(), attempt.places.end(), [&](const RankPlace& place) {
          return !place.done && !c_.state_.workers.at(place.worker).cordoned;
        }));
    const bool gpu = OnGpus(c_.state_, attempt);
    if (MostRanks(job, kept + free.of(gpu)) > 0) {
      free.of(gpu) -= std::max(0, least - kept);
    } else if (MostRanks(job, free.of(!gpu)) > 0) {
      free.of(!gpu) -= least;
    } else {
      continue;
    }
    Stop(key, absl::StrCat("Stopped to go on without worker ", worker, ", which is cordoned."));
  }
}

bool ControllerRules::AnyoneWaitsFor(int32_t slots) const {
  return std::any_of(c_.queue_.begin(), c_.queue_.end(), [&](const Controller::QueueKey& key) {
    const Job& job = c_.state_.jobs.at(std::get<2>(key));
    const auto upstream = c_.state_.jobs.find(job.upstream);
    QueuedJob queued{.job = &job};
    if (upstream != c_.state_.jobs.end()) queued.upstream = &upstream->second;
    // One whose back-off is not over will be there in a moment.
    return Eligible(queued, absl::InfiniteFuture()) && LeastRanks(job) <= slots;
  });
}

void ControllerRules::Grow() {
  if (c_.small_since_.empty()) return;
  const Snapshot view = c_.WorkersView(now_);
  Room free = FreeSlots(view);
  const int32_t slots = AllSlots(view).most();
  std::set<std::string> open;  // workers on which it could go on
  for (const WorkerRoom& room : view.workers) {
    if (c_.desks_[room.name].barred_until <= now_) open.insert(room.name);
  }
  if (free.sum() == 0 || AnyoneWaitsFor(slots)) return;
  std::map<Controller::QueueKey, AttemptKey> small;
  for (const auto& [key, since] : c_.small_since_) {
    const Job& job = c_.state_.jobs.at(key.first);
    const bool stays = job.state != JobState::kRunning || job.held || !c_.state_.attempts.at(key).stop_reason.empty();
    if (!stays && now_ - since >= c_.options_.grow_after) small[Controller::KeyOf(job)] = key;
  }
  for (const auto& [order, key] : small) {
    const Attempt& attempt = c_.state_.attempts.at(key);
    const Job& job = c_.state_.jobs.at(key.first);
    const auto& places = attempt.places;
    const auto ranks = static_cast<int32_t>(places.size());
    const auto kept = static_cast<int32_t>(std::count_if(
        places.begin(), places.end(), [&](const RankPlace& place) { return open.contains(place.worker); }));
    const bool gpu = OnGpus(c_.state_, attempt);
    // It would not grow where it is: it would go on on GPUs, maybe with fewer ranks.
    if (!gpu && MostRanks(job, free.gpu) > 0) continue;
    const int32_t more = MostRanks(job, kept + free.of(gpu));
    if (more <= ranks) continue;
    free.of(gpu) -= more - kept;
    Stop(key, absl::StrCat("Stopped to go on with ", more, " ranks instead of ", ranks, "."));
  }
}

void ControllerRules::Note(Attempt& attempt, const AttemptCompleted& event) {
  for (const RankPosition& position : event.positions) {
    if (position.rank < 0 || position.rank >= static_cast<int32_t>(attempt.places.size())) continue;
    RankPlace& place = attempt.places[position.rank];
    if (place.worker != event.worker) continue;
    place.sequence = std::max<int64_t>(position.sequence, 0);
    place.collective = position.name;
  }
}

bool ControllerRules::Tell(const AttemptCompleted& event) {
  const AttemptKey key{event.job, event.attempt};
  if (!c_.awaited_.contains(key) || c_.Find(key) == nullptr) return false;
  const auto waits = [&](const RankPlace& place) { return place.worker == event.worker && !place.done; };
  if (std::none_of(c_.Find(key)->places.begin(), c_.Find(key)->places.end(), waits)) return false;
  Attempt& attempt = Changed(key);
  for (RankPlace& place : attempt.places) {
    if (waits(place)) place.done = true;
  }
  Note(attempt, event);
  Amend(attempt, event);
  Await(key);
  return true;
}

// A peer of the rank that failed may be heard first, and knows only that a rank is lost or did not come.
void ControllerRules::Amend(Attempt& attempt, const AttemptCompleted& event) {
  if (event.outcome != "failed" || Knowledge(event.cause) <= Knowledge(attempt.cause)) return;
  const std::string told_first = attempt.cause;
  attempt.cause = event.cause;
  attempt.message = event.message;
  MarkFailed(attempt, event.worker);
  const auto found = c_.state_.jobs.find(attempt.job);
  if (found == c_.state_.jobs.end() || found->second.attempts != attempt.number) return;
  if (found->second.cause != told_first) return;
  if (found->second.state != JobState::kQueued && found->second.state != JobState::kFailed) return;
  Job& job = Changed(attempt.job);
  job.cause = event.cause;
  job.message = event.message;
  if (job.state == JobState::kFailed) return;
  if (event.fall_back_to.has_value()) {
    job.checkpoint_update = *event.fall_back_to;
  } else if (!CanMend(event.cause)) {
    Move(job, JobEvent::kFailed);
    CancelDependents(job, false);
    room_changed_ = true;  // it may have been the one that the others waited behind
  }
}

void ControllerRules::Await(const AttemptKey& key) {
  const Attempt& attempt = *c_.Find(key);
  if (attempt.places.size() < 2) return;
  if (std::all_of(attempt.places.begin(), attempt.places.end(), [](const RankPlace& place) { return place.done; })) {
    return Compare(key);
  }
  c_.awaited_.try_emplace(key, now_ + c_.options_.tell_within);
}

void ControllerRules::Compare(const AttemptKey& key) {
  c_.awaited_.erase(key);
  const Attempt& told = *c_.Find(key);
  const std::string text = ComparePositions(told.places);
  const int32_t behind = RankBehind(told.places);
  const bool hung = told.cause == "stalled" || told.cause == "rank_lost";
  // That all stood at one place says something of a hang, and nothing of a failure with a cause of its own.
  const bool together = behind < 0 && std::all_of(told.places.begin(), told.places.end(),
                                                  [](const RankPlace& place) { return place.sequence >= 0; });
  if (!text.empty() && (hung || !together)) {
    Attempt& attempt = Changed(key);
    if (hung && behind >= 0) MarkFailed(attempt, attempt.places[static_cast<size_t>(behind)].worker);
    const auto append = [&](std::string& message) { absl::StrAppend(&message, message.empty() ? "" : " ", text); };
    append(attempt.message);
    const auto job = c_.state_.jobs.find(attempt.job);
    if (job != c_.state_.jobs.end() && job->second.attempts == attempt.number && job->second.cause == attempt.cause) {
      append(Changed(attempt.job).message);
    }
  }
  if (const auto ended = c_.ended_gangs_.find(key); ended != c_.ended_gangs_.end()) {
    if (attempts_.erase(key) > 0) replaced_.push_back(std::move(ended->second));
    c_.ended_gangs_.erase(ended);
  }
}

void ControllerRules::StopWaiting() {
  const auto awaited = c_.awaited_;
  for (const auto& [key, until] : awaited) {
    if (c_.Find(key) == nullptr) {
      c_.awaited_.erase(key);
    } else if (until <= now_) {
      Compare(key);
    }
  }
}

}  // namespace strata::core
