#include "server/core/controller.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/core/controller_rules.h"

namespace strata::core {

Controller::Controller(ControllerOptions options, State state, absl::Time now)
    : options_(options), state_(std::move(state)), last_tick_(now) {
  if (options_.jump == absl::ZeroDuration()) options_.jump = options_.lease_duration / 2;
  for (auto& [name, worker] : state_.workers) {
    if (worker.state == WorkerState::kReady) worker.lease_end = now + options_.lease_duration;
    NextGeneration(&desks_[name], now);
  }
  for (auto& [name, job] : state_.jobs) {
    job.not_before = std::min(job.not_before, now + options_.longest_backoff);
    next_order_ = std::max(next_order_, job.order + 1);
    Index(job);
  }
  for (const auto& [key, attempt] : state_.attempts) {
    const Job& job = state_.jobs.at(key.first);
    const auto ranks = static_cast<int32_t>(attempt.places.size());
    if (attempt.live()) {
      Open(attempt, now);
      if (job.state == JobState::kRunning && ranks < job.ranks) small_since_[key] = now;
    } else if (ranks > 1 && (attempt.outcome == "failed" || attempt.outcome == "fenced") &&
               now - attempt.end_time < options_.tell_within) {
      awaited_[key] = now + options_.tell_within;
    }
  }
}

Attempt* Controller::Find(const AttemptKey& key) {
  if (const auto at = state_.attempts.find(key); at != state_.attempts.end()) return &at->second;
  const auto at = ended_gangs_.find(key);
  return at == ended_gangs_.end() ? nullptr : &at->second;
}

Controller::QueueKey Controller::KeyOf(const Job& job) { return {-job.priority, job.order, job.name}; }

void Controller::Index(const Job& job) {
  if (job.state == JobState::kQueued) queue_.insert(KeyOf(job));
  if (!job.upstream.empty()) dependents_[job.upstream].insert(job.name);
}

void Controller::Open(const Attempt& attempt, absl::Time now) {
  for (const RankPlace& place : attempt.places) {
    if (place.done) continue;
    Desk& desk = desks_[place.worker];
    const AttemptKey key{attempt.job, attempt.number};
    if (!desk.assigned.contains(key)) desk.assigned[key] = NextGeneration(&desk, now);
  }
}

// Rises over restarts of the coordinator too, as the clock does: an agent that knows a generation of an earlier life is
// not believed to know what was assigned in this one.
int64_t Controller::NextGeneration(Desk* desk, absl::Time now) const {
  desk->generation = std::max(desk->generation + 1, absl::ToUnixMicros(now));
  return desk->generation;
}

absl::StatusOr<Effects> Controller::Step(const Event& event, absl::Time now) {
  ControllerRules rules(*this, now);
  rules.NoteTime();
  const absl::Status status = std::visit([&](const auto& e) { return rules.On(e); }, event);
  if (!status.ok()) return status;
  return rules.Finish();
}

absl::Status Controller::CheckAttempt(const std::string& job, int32_t attempt) const {
  const auto found = state_.jobs.find(job);
  if (found == state_.jobs.end()) return absl::NotFoundError(absl::StrCat("there is no job ", job));
  const auto at = state_.attempts.find({job, attempt});
  if (at != state_.attempts.end() && at->second.live()) return absl::OkStatus();
  std::string why = absl::StrCat("the job is at attempt ", found->second.attempts);
  if (at != state_.attempts.end()) {
    why = absl::StrCat("it has ended: ", at->second.outcome, at->second.cause.empty() ? "" : ", ", at->second.cause);
  }
  return absl::FailedPreconditionError(
      absl::StrCat("stale_attempt: attempt ", attempt, " of ", job, " does not live (", why, "). End its processes."));
}

absl::Status Controller::CheckSession(const std::string& worker, const std::string& session) const {
  const auto found = state_.workers.find(worker);
  if (found == state_.workers.end()) {
    return absl::NotFoundError(absl::StrCat("there is no worker ", worker, ". Register it."));
  }
  if (found->second.state != WorkerState::kReady) {
    return absl::FailedPreconditionError(absl::StrCat(
        "stale_session: worker ", worker,
        found->second.state == WorkerState::kLost ? " was not heard of for a lease time" : " has signed off",
        "; its attempts have been ended. Register again."));
  }
  if (found->second.session != session) {
    return absl::FailedPreconditionError(
        absl::StrCat("stale_session: worker ", worker, " has registered anew since. Register again."));
  }
  return absl::OkStatus();
}

std::vector<WorkerAssignment> Controller::Assignments(const std::string& worker) const {
  std::vector<WorkerAssignment> assignments;
  const auto desk = desks_.find(worker);
  if (desk == desks_.end()) return assignments;
  for (const auto& [key, generation] : desk->second.assigned) {
    const Attempt& attempt = state_.attempts.at(key);
    WorkerAssignment assignment{.job = key.first, .attempt = key.second};
    for (const RankPlace& place : attempt.places) {
      if (place.worker == worker) assignment.ranks.push_back(place);
    }
    assignment.world_size = static_cast<int32_t>(attempt.places.size());
    const bool cancelling = state_.jobs.at(key.first).state == JobState::kCancelling;
    assignment.stop = cancelling || !attempt.stop_reason.empty();
    assignment.checkpoint = assignment.stop && !cancelling;
    assignment.rendezvous = attempt.rendezvous;
    assignments.push_back(std::move(assignment));
  }
  return assignments;
}

bool Controller::Leaves(const std::string& name) const {
  const auto worker = state_.workers.find(name);
  if (worker == state_.workers.end() || !worker->second.draining) return false;
  return worker->second.state == WorkerState::kReady && desks_.at(name).assigned.empty();
}

int64_t Controller::Generation(const std::string& worker) const {
  const auto desk = desks_.find(worker);
  return desk == desks_.end() ? 0 : desk->second.generation;
}

void Controller::Forget(const std::vector<std::string>& jobs) {
  for (const std::string& name : jobs) {
    const auto job = state_.jobs.find(name);
    if (job == state_.jobs.end() || !IsFinal(job->second.state)) continue;
    state_.attempts.erase({name, job->second.attempts});
    std::erase_if(awaited_, [&](const auto& row) { return row.first.first == name; });
    std::erase_if(ended_gangs_, [&](const auto& row) { return row.first.first == name; });
    const auto siblings = dependents_.find(job->second.upstream);
    if (siblings != dependents_.end()) {
      siblings->second.erase(name);
      if (siblings->second.empty()) dependents_.erase(siblings);
    }
    state_.jobs.erase(job);
  }
}

void Controller::Recall(const std::vector<Job>& jobs, const std::vector<Attempt>& attempts) {
  for (const Job& job : jobs) {
    if (!IsFinal(job.state) || !state_.jobs.emplace(job.name, job).second) continue;
    Index(job);
    for (const Attempt& attempt : attempts) {
      if (attempt.job == job.name && attempt.number == job.attempts)
        state_.attempts[{job.name, attempt.number}] = attempt;
    }
  }
}

Snapshot Controller::WorkersView(absl::Time now) const {
  Snapshot view;
  for (const auto& [name, worker] : state_.workers) {
    if (worker.state != WorkerState::kReady || worker.cordoned) continue;
    const Desk& desk = desks_.at(name);
    WorkerRoom rooms[2] = {{.name = name}, {.name = name, .gpu = true}};
    std::set<int32_t> taken;
    for (const auto& [key, generation] : desk.assigned) {
      for (const RankPlace& place : state_.attempts.at(key).places) {
        if (place.worker == name) taken.insert(place.slot);
      }
    }
    for (const Slot& slot : worker.slots) {
      WorkerRoom& room = rooms[slot.gpu() ? 1 : 0];
      ++room.slots;
      if (desk.barred_until <= now && !taken.contains(slot.index)) room.free.push_back(slot.index);
    }
    for (WorkerRoom& room : rooms) {
      std::sort(room.free.begin(), room.free.end());
      if (room.slots > 0) view.workers.push_back(std::move(room));
    }
  }
  return view;
}

Snapshot Controller::View(absl::Time now) const {
  Snapshot view = WorkersView(now);
  const int32_t slots = AllSlots(view).most();
  int32_t free = FreeSlots(view).sum();
  // Jobs behind those that take or claim all that is free cannot be placed: they need not be looked at.
  for (auto at = queue_.begin(); at != queue_.end() && free > 0; ++at) {
    const Job& job = state_.jobs.at(std::get<2>(*at));
    QueuedJob queued{.job = &job};
    if (!job.upstream.empty()) {
      const auto upstream = state_.jobs.find(job.upstream);
      if (upstream != state_.jobs.end()) queued.upstream = &upstream->second;
    }
    const int32_t least = LeastRanks(job);
    if (!Eligible(queued, now) || least > slots) continue;
    if (const auto last = state_.attempts.find({job.name, job.attempts});
        !job.cause.empty() && last != state_.attempts.end()) {
      for (const RankPlace& place : last->second.places) {
        if (place.failed) queued.avoid = place.worker;
      }
    }
    view.queue.push_back(std::move(queued));
    free -= least;
  }
  return view;
}

}  // namespace strata::core
