#include "tests/sim/ledger.h"

#include "absl/strings/str_cat.h"
#include "server/core/job.h"

namespace strata::sim {
namespace {

using core::JobState;

[[noreturn]] void Violate(const std::string& what) { throw Violation(what); }

std::string Print(const RankKey& rank) {
  return absl::StrCat(rank.job, " attempt ", rank.attempt, " rank ", rank.rank);
}

bool Active(JobState state) {
  return state == JobState::kPending || state == JobState::kRunning || state == JobState::kCancelling;
}

}  // namespace

void Ledger::Restarted(const Disk& disk) {
  restart_ = loop_.awake();
  jumps_at_restart_ = small_jumps_;
  heard_.clear();
  jobs_ = disk.jobs;
  outcomes_.clear();
  live_.clear();
  begun_.clear();
  for (const auto& [key, attempt] : disk.attempts) {
    outcomes_[key] = attempt.outcome;
    if (attempt.live()) live_.insert(key);
  }
  for (auto& [name, count] : failures_) count = 0;
  for (const auto& [name, job] : disk.jobs) failures_[name] = job.failures;
  CheckDisk(disk);
}

void Ledger::Stepped(const core::State& state, const core::Effects& effects, bool retried) {
  for (const core::Attempt& attempt : effects.attempts) CheckAttempt(state, attempt, retried);
  for (const core::Job& job : effects.jobs) CheckJob(state, job, retried);
  CheckSlots(state);
}

void Ledger::CheckSlots(const core::State& state) const {
  std::set<std::pair<std::string, int32_t>> taken;
  for (const AttemptKey& key : live_) {
    const core::Attempt& attempt = state.attempts.at(key);
    for (const core::RankPlace& place : attempt.places) {
      if (!place.done && !taken.insert({place.worker, place.slot}).second) {
        Violate(absl::StrCat("two live leases on ", place.worker, ":", place.slot));
      }
    }
  }
}

void Ledger::CheckJob(const core::State& state, const core::Job& job, bool retried) {
  const auto before = jobs_.find(job.name);
  if (before != jobs_.end() && core::IsFinal(before->second.state) && job.state != before->second.state) {
    const JobState was = before->second.state;
    if (!retried || was == JobState::kDiverged || was == JobState::kSucceeded) {
      Violate(absl::StrCat(job.name, " was ", Name(was), ", which is final, and became ", Name(job.state)));
    }
    failures_[job.name] = 0;
  }
  const auto live = state.attempts.find({job.name, job.attempts});
  if (Active(job.state) != (live != state.attempts.end() && live->second.live())) {
    Violate(
        absl::StrCat(job.name, " is ", Name(job.state), Active(job.state) ? " without" : " with", " a live attempt"));
  }
  if (failures_[job.name] > job.max_attempts) {
    Violate(absl::StrCat(job.name, " failed ", failures_[job.name], " times; at most ", job.max_attempts));
  }
  if (!core::IsFinal(job.state) && failures_[job.name] >= job.max_attempts) {
    Violate(absl::StrCat(job.name, " goes on after ", failures_[job.name], " failures; at most ", job.max_attempts));
  }
  if (failures_[job.name] != job.failures) {
    Violate(absl::StrCat(job.name, " counts ", job.failures, " failures; there were ", failures_[job.name]));
  }
  jobs_[job.name] = job;
}

// Leases for all ranks or none; a number of ranks that the job may have; only where and when it may begin.
void Ledger::CheckBegun(const core::State& state, const core::Attempt& attempt, bool retried) {
  const core::Job& job = state.jobs.at(attempt.job);
  std::set<int32_t> ranks;
  std::set<bool> kinds;
  Begun begun{.at = loop_.awake(), .jumps = small_jumps_};
  for (const core::RankPlace& place : attempt.places) {
    ranks.insert(place.rank);
    begun.slots.emplace_back(place.worker, place.slot);
    const core::Worker& worker = state.workers.at(place.worker);
    for (const core::Slot& slot : worker.slots) {
      if (slot.index == place.slot) kinds.insert(slot.gpu());
    }
    if (worker.cordoned || worker.draining) {
      Violate(absl::StrCat(attempt.job, " began on ", place.worker, ", which is cordoned"));
    }
  }
  if (kinds.size() > 1) Violate(absl::StrCat(attempt.job, " began on GPUs and CPU slots at once"));
  const auto size = static_cast<int32_t>(ranks.size());
  const bool elastic = job.min_ranks > 0 && size >= job.min_ranks && size < job.ranks && job.global_batch % size == 0;
  if ((size != job.ranks && !elastic) || attempt.places.size() != ranks.size() || *ranks.rbegin() != size - 1) {
    Violate(absl::StrCat(attempt.job, " has leases for ", size, " of ", job.ranks, " ranks"));
  }
  if (attempt.number > 1 && outcomes_[{attempt.job, attempt.number - 1}].empty()) {
    Violate(absl::StrCat(attempt.job, ": attempt ", attempt.number, " began while the one before lives"));
  }
  if (job.held) Violate(absl::StrCat(attempt.job, " began while it is held"));
  if (const auto upstream = state.jobs.find(job.upstream);
      upstream != state.jobs.end() && !core::Satisfies(upstream->second, job)) {
    Violate(absl::StrCat(attempt.job, " began while ", upstream->first, " is ", Name(upstream->second.state)));
  }
  const auto before = jobs_.find(attempt.job);
  if (before != jobs_.end() && core::IsFinal(before->second.state) && !retried) {
    Violate(absl::StrCat(attempt.job, ": an attempt began though it is ", Name(before->second.state)));
  }
  CheckTurn(state, job);
  live_.insert({attempt.job, attempt.number});
  begun_[{attempt.job, attempt.number}] = std::move(begun);
}

namespace {

// May this job begin, and would even its fewest ranks fit into the workers that take any?
bool Waits(const core::State& state, const core::Job& job, absl::Time now) {
  if (job.state != JobState::kQueued || job.held || job.not_before > now) return false;
  const auto upstream = state.jobs.find(job.upstream);
  if (!job.upstream.empty() && (upstream == state.jobs.end() || !core::Satisfies(upstream->second, job))) return false;
  int32_t cpus = 0, gpus = 0;
  for (const auto& [name, worker] : state.workers) {
    if (worker.state != core::WorkerState::kReady || worker.cordoned) continue;
    for (const core::Slot& slot : worker.slots) ++(slot.gpu() ? gpus : cpus);
  }
  const int32_t slots = std::max(cpus, gpus);
  if (job.ranks <= slots) return true;
  for (int32_t ranks = std::max(job.min_ranks, 1); job.min_ranks > 0 && ranks <= slots; ++ranks) {
    if (job.global_batch % ranks == 0) return true;
  }
  return false;
}

}  // namespace

void Ledger::CheckTurn(const core::State& state, const core::Job& begun) const {
  for (const auto& [name, job] : state.jobs) {
    const bool before = job.priority > begun.priority || (job.priority == begun.priority && job.order < begun.order);
    if (before && Waits(state, job, loop_.wall())) {
      Violate(absl::StrCat(begun.name, " began though ", name, " comes before it"));
    }
  }
}

void Ledger::CheckGrowth(const core::State& state, const core::Attempt& attempt) const {
  if (const auto begun = begun_.find({attempt.job, attempt.number}); begun != begun_.end()) {
    if (loop_.awake() - begun->second.at + small_jumps_ - begun->second.jumps < grow_after_) {
      Violate(absl::StrCat(attempt.job, " attempt ", attempt.number, " is stopped to grow when it has hardly begun"));
    }
  }
  for (const auto& [name, job] : state.jobs) {
    if (Waits(state, job, absl::InfiniteFuture())) {
      Violate(absl::StrCat(attempt.job, " is stopped to grow though ", name, " waits for slots"));
    }
  }
}

void Ledger::CheckAttempt(const core::State& state, const core::Attempt& attempt, bool retried) {
  const AttemptKey key{attempt.job, attempt.number};
  const auto [known, fresh] = outcomes_.emplace(key, "");
  if (fresh) CheckBegun(state, attempt, retried);
  if (const auto begun = begun_.find(key); begun != begun_.end()) {
    for (size_t i = 0; i < attempt.places.size(); ++i) {
      if (begun->second.slots[i] != std::pair(attempt.places[i].worker, attempt.places[i].slot)) {
        Violate(absl::StrCat(attempt.job, ": the leases of attempt ", attempt.number, " have moved"));
      }
    }
    if (!begun->second.stopping && attempt.stop_reason.find("instead of") != std::string::npos) {
      CheckGrowth(state, attempt);
      begun->second.stopping = true;
    }
  }
  if (known->second == attempt.outcome) return;
  if (!known->second.empty()) Violate(absl::StrCat(attempt.job, ": attempt ", attempt.number, " ended twice"));
  known->second = attempt.outcome;
  live_.erase(key);
  if (attempt.outcome == "fenced" || attempt.outcome == "failed") {
    ++failures_[attempt.job];
    if (nothing_may_fail_)
      Violate(absl::StrCat("machines only slept, yet ", attempt.job, " lost an attempt: ", attempt.message));
  }
  if (attempt.outcome == "fenced") CheckLost(attempt, state);
}

// Nothing is fenced for silence before its worker was silent for a lease, in time that the machines were awake.
void Ledger::CheckLost(const core::Attempt& attempt, const core::State& state) const {
  for (const core::RankPlace& place : attempt.places) {
    const core::Worker& worker = state.workers.at(place.worker);
    if (worker.state != core::WorkerState::kLost) continue;
    absl::Duration since = restart_, jumps = small_jumps_ - jumps_at_restart_;
    if (const auto heard = heard_.find(place.worker); heard != heard_.end()) {
      since = heard->second.first;
      jumps = small_jumps_ - heard->second.second;
    }
    if (loop_.awake() - since + jumps >= lease_) return;
  }
  for (const core::RankPlace& place : attempt.places) {
    if (state.workers.at(place.worker).state == core::WorkerState::kGone) return;
  }
  Violate(absl::StrCat(attempt.job, " attempt ", attempt.number, " was fenced (", attempt.message,
                       ") though its workers were heard of within a lease of waking time"));
}

void Ledger::Wrote(const std::string& job, int32_t attempt) const {
  const auto known = outcomes_.find({job, attempt});
  if (known == outcomes_.end() || !known->second.empty()) {
    Violate(absl::StrCat("a write of ", job, " attempt ", attempt, " was let through, which does not live"));
  }
}

void Ledger::Heard(const std::string& worker) { heard_[worker] = {loop_.awake(), small_jumps_}; }

void Ledger::SubmitAcknowledged(const std::string& request, const std::vector<std::string>& jobs) {
  const auto [known, fresh] = submitted_.emplace(request, jobs);
  if (!fresh && known->second != jobs)
    Violate(absl::StrCat("submit ", request, " was answered with other jobs before"));
  for (const std::string& job : jobs) {
    const auto [owner, first] = owner_.emplace(job, request);
    if (!first && owner->second != request) Violate(absl::StrCat("the id ", job, " was given out twice"));
  }
}

void Ledger::HoldAcknowledged(const std::string& job, bool held) {
  held ? void(held_.insert(job)) : void(held_.erase(job));
}
void Ledger::CordonAcknowledged(const std::string& worker, bool cordoned) {
  cordoned ? void(cordoned_.insert(worker)) : void(cordoned_.erase(worker));
}
void Ledger::CancelAcknowledged(const std::string& job) { cancelled_.insert(job); }
void Ledger::Retried(const std::string& job) { cancelled_.erase(job); }
void Ledger::EventsAcknowledged(const RankKey& rank, int64_t seq) {
  acknowledged_[rank] = std::max(acknowledged_[rank], seq);
}

void Ledger::CheckDisk(const Disk& disk) const {
  for (const auto& [request, jobs] : submitted_) {
    if (!disk.requests.contains(request)) Violate(absl::StrCat("submit ", request, " was acknowledged and is lost"));
    for (const std::string& job : jobs) {
      if (!disk.jobs.contains(job)) Violate(absl::StrCat(job, " was acknowledged and is lost"));
    }
  }
  for (const auto& [rank, seq] : acknowledged_) {
    const auto cursor = disk.cursors.find(rank);
    if (cursor == disk.cursors.end() || cursor->second < seq) {
      Violate(absl::StrCat(Print(rank), ": events up to ", seq, " were acknowledged and are lost"));
    }
  }
  for (const MeasurementKey& key : measured_) {
    if (!disk.measurements.contains(key)) {
      Violate(
          absl::StrCat(Print(key.rank), ": the measurement of update ", key.update, " was acknowledged and is lost"));
    }
  }
  for (const auto& [key, times] : disk.measurements) {
    if (times != 1)
      Violate(
          absl::StrCat(Print(key.rank), ": the measurement of update ", key.update, " is stored ", times, " times"));
  }
  for (const std::string& name : held_) {
    if (!disk.jobs.at(name).held) Violate(absl::StrCat("the hold of ", name, " was acknowledged and is lost"));
  }
  for (const std::string& name : cordoned_) {
    const auto worker = disk.workers.find(name);
    if (worker != disk.workers.end() && !worker->second.cordoned) {
      Violate(absl::StrCat("the cordon of ", name, " was acknowledged and is lost"));
    }
  }
  for (const std::string& name : cancelled_) {
    const JobState state = disk.jobs.at(name).state;
    if (state != JobState::kCancelling && state != JobState::kCancelled) {
      Violate(absl::StrCat("the cancellation of ", name, " was acknowledged, and it is ", Name(state)));
    }
  }
}

void Ledger::CheckDrained(const Disk& disk) const {
  for (const auto& [name, job] : disk.jobs) {
    if (!core::IsFinal(job.state)) {
      Violate(absl::StrCat("the faults are over, but ", name, " is still ", Name(job.state), " (", job.message, ")"));
    }
    CheckHistory(disk, job, disk.facts.at(name));
  }
  for (const auto& [key, attempt] : disk.attempts) {
    if (attempt.live()) Violate(absl::StrCat(key.first, " attempt ", key.second, " lives though all jobs have ended"));
  }
  for (const auto& [name, worker] : disk.workers) {
    if (worker.draining && worker.state == core::WorkerState::kReady) Violate(name + " is drained and has not left");
  }
}

// A job ends as its facts say, with every update measured, whatever happened on the way.
void Ledger::CheckHistory(const Disk& disk, const core::Job& job, const Facts& facts) {
  const bool diverges = facts.diverges_at >= 0;
  if (job.state == JobState::kDiverged && !diverges) Violate(job.name + " DIVERGED though its training does not");
  if (job.state == JobState::kSucceeded && (diverges || facts.out_of_memory_at >= 0)) {
    Violate(job.name + " SUCCEEDED though its training cannot");
  }
  if (job.state != JobState::kSucceeded && job.state != JobState::kDiverged) return;
  const int32_t last = diverges && !facts.trains_on ? facts.diverges_at : facts.updates;
  std::set<int32_t> updates;
  for (auto at = disk.measurements.lower_bound({{job.name, 0, 0}, 0});
       at != disk.measurements.end() && at->first.rank.job == job.name; ++at) {
    updates.insert(at->first.update);
  }
  if (static_cast<int32_t>(updates.size()) != last || (last > 0 && *updates.rbegin() != last)) {
    Violate(
        absl::StrCat(job.name, " is ", Name(job.state), " with ", updates.size(), " of ", last, " updates measured"));
  }
}

}  // namespace strata::sim
