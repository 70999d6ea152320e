// Workers: how they come, stay and are lost; leases and the grace period; what a step returns.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/controller_rules.h"

namespace strata::core {
namespace {

absl::Status CheckWorker(const Worker& worker) {
  if (worker.name.empty()) return absl::InvalidArgumentError("name: a worker needs one");
  if (worker.uid.empty())
    return absl::InvalidArgumentError(absl::StrCat("worker_uid: worker ", worker.name, " gave none"));
  if (worker.slots.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("slots: worker ", worker.name, " offers none. Give it at least one."));
  }
  std::set<int32_t> indices;
  for (const Slot& slot : worker.slots) {
    if (!indices.insert(slot.index).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("slots: worker ", worker.name, " has two slots with index ", slot.index));
    }
  }
  return absl::OkStatus();
}

// Is every rank that `attempt` has on this worker on a slot that it still has, and was any of them up?
struct Part {
  bool placed = true;
  bool up = false;
};
Part PartOn(const Attempt& attempt, const Worker& worker) {
  Part part;
  for (const RankPlace& place : attempt.places) {
    if (place.worker != worker.name) continue;
    part.up |= place.up;
    part.placed &= std::any_of(worker.slots.begin(), worker.slots.end(),
                               [&](const Slot& slot) { return slot.index == place.slot; });
  }
  return part;
}

}  // namespace

void ControllerRules::NoteTime() {
  const absl::Duration gap = now_ - c_.last_tick_;
  if (gap > c_.options_.jump) Grace(false);
  if (gap < -c_.options_.jump) Grace(true);
}

void ControllerRules::Grace(bool backwards) {
  const absl::Time end = now_ + c_.options_.lease_duration;
  for (auto& [name, worker] : c_.state_.workers) {
    if (worker.state == WorkerState::kReady) worker.lease_end = backwards ? end : std::max(worker.lease_end, end);
  }
  if (backwards) {
    for (const auto& [priority, order, name] : c_.queue_) {
      Job& job = c_.state_.jobs.at(name);
      job.not_before = std::min(job.not_before, now_ + c_.options_.longest_backoff);
    }
    for (auto& [name, desk] : c_.desks_) desk.barred_until = absl::InfinitePast();
  }
  for (auto& [key, since] : c_.small_since_) since = now_;
  for (auto& [key, until] : c_.awaited_) until = now_ + c_.options_.tell_within;
  c_.last_tick_ = now_;
}

absl::Status ControllerRules::On(const WorkerRegistered& event) {
  if (const absl::Status status = CheckWorker(event.worker); !status.ok()) return status;
  const std::string& name = event.worker.name;
  if (const auto found = c_.state_.workers.find(name); found != c_.state_.workers.end()) {
    const Worker& known = found->second;
    if (known.uid != event.worker.uid && known.state == WorkerState::kReady) {
      return absl::AlreadyExistsError(absl::StrCat("worker ", name, " is another one, on host ", known.host,
                                                   ", heard of ", absl::ToInt64Seconds(now_ - known.last_seen),
                                                   " s ago. Give this agent another --name, or stop that one."));
    }
  }
  // Kept: what it found alive, and what never started, which it will start. An attempt that had started and that it
  // does not know of any more must not be started again under the same number: its events are numbered already.
  Controller::Desk& desk = c_.desks_[name];
  const std::set<AttemptKey> running(event.running.begin(), event.running.end());
  const auto assigned = desk.assigned;
  for (const auto& [key, generation] : assigned) {
    const Part part = PartOn(c_.state_.attempts.at(key), event.worker);
    if (part.placed && (running.contains(key) || !part.up)) continue;
    Fail(key, name, "failed", "worker_lost",
         part.placed ? absl::StrCat("The agent of worker ", name, " restarted and found no process of it.")
                     : absl::StrCat("Worker ", name, " no longer offers a slot of it."));
  }
  Worker& worker = c_.state_.workers[name];
  const bool cordoned = worker.cordoned, draining = worker.draining;
  worker = event.worker;
  worker.cordoned = cordoned;
  worker.draining = draining;
  ChangedWorker(name);
  worker.state = WorkerState::kReady;
  worker.last_seen = now_;
  worker.lease_end = now_ + c_.options_.lease_duration;
  desk.barred_until = absl::InfinitePast();
  Touch(name);
  room_changed_ = true;
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const WorkerSynchronized& event) {
  if (const absl::Status status = c_.CheckSession(event.worker, event.session); !status.ok()) return status;
  Worker& worker = c_.state_.workers.at(event.worker);
  worker.last_seen = now_;
  worker.lease_end = now_ + c_.options_.lease_duration;
  const std::set<AttemptKey> running(event.running.begin(), event.running.end());
  const auto assigned = c_.desks_[event.worker].assigned;
  for (const auto& [key, generation] : assigned) {
    // What was assigned after the agent last heard cannot be listed yet.
    if (event.generation < generation || running.contains(key)) continue;
    Fail(key, event.worker, "failed", "worker_lost",
         absl::StrCat("Worker ", event.worker, " had it and does not know of it any more."));
  }
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const WorkerLeft& event) {
  const auto found = c_.state_.workers.find(event.worker);
  if (found != c_.state_.workers.end() && found->second.state == WorkerState::kGone &&
      found->second.session == event.session) {
    return absl::OkStatus();
  }
  if (const absl::Status status = c_.CheckSession(event.worker, event.session); !status.ok()) return status;
  LoseWorker(event.worker, WorkerState::kGone, "signed off");
  return absl::OkStatus();
}

absl::Status ControllerRules::On(const Ticked&) {
  c_.last_tick_ = now_;
  std::vector<std::string> lost, forgotten;
  for (const auto& [name, worker] : c_.state_.workers) {
    if (worker.state == WorkerState::kReady) {
      if (worker.lease_end <= now_) lost.push_back(name);
    } else if (now_ - worker.last_seen > c_.options_.forget_workers_after) {
      forgotten.push_back(name);
    }
  }
  for (const std::string& name : lost) {
    const absl::Duration silence = now_ - c_.state_.workers.at(name).last_seen;
    LoseWorker(
        name, WorkerState::kLost,
        absl::StrCat("was not heard of for ", absl::FormatDuration(absl::Trunc(silence, absl::Milliseconds(100)))));
  }
  for (const std::string& name : forgotten) {
    c_.state_.workers.erase(name);
    c_.desks_.erase(name);
    erased_workers_.insert(name);
  }
  StopWaiting();
  room_changed_ = ticked_ = true;  // a back-off may be over
  return absl::OkStatus();
}

void ControllerRules::LoseWorker(const std::string& name, WorkerState state, std::string_view why) {
  Worker& worker = ChangedWorker(name);
  worker.state = state;
  if (state == WorkerState::kGone) worker.draining = false;  // if it comes back, it is cordoned still
  const auto assigned = c_.desks_[name].assigned;
  for (const auto& [key, generation] : assigned) {
    const std::string message = absl::StrCat("Worker ", name, " ", std::string(why), ".");
    // An agent that signs off without having started it has done it no harm.
    if (state == WorkerState::kGone && c_.state_.attempts.at(key).ranks_up == 0) {
      Requeue(key, message);
    } else {
      Fail(key, name, "fenced", "worker_lost", message);
    }
  }
}

Job& ControllerRules::Changed(const std::string& job) {
  jobs_.insert(job);
  return c_.state_.jobs.at(job);
}

Attempt& ControllerRules::Changed(const AttemptKey& attempt) {
  attempts_.insert(attempt);
  return *c_.Find(attempt);
}

Worker& ControllerRules::ChangedWorker(const std::string& worker) {
  workers_.insert(worker);
  return c_.state_.workers.at(worker);
}

void ControllerRules::Touch(const std::string& worker) {
  c_.NextGeneration(&c_.desks_[worker], now_);
  wake_.insert(worker);
}

Effects ControllerRules::Finish() {
  if (room_changed_) Place();
  if (ticked_) Grow();
  Effects effects;
  for (const std::string& name : jobs_) effects.jobs.push_back(c_.state_.jobs.at(name));
  effects.attempts = replaced_;
  for (const AttemptKey& key : attempts_) effects.attempts.push_back(*c_.Find(key));
  for (const std::string& name : workers_) effects.workers.push_back(c_.state_.workers.at(name));
  effects.erased_workers.assign(erased_workers_.begin(), erased_workers_.end());
  effects.wake = wake_;
  return effects;
}

}  // namespace strata::core
