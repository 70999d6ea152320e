#include "server/service/coordinator.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/service/audit_note.h"

namespace strata::service {
namespace {

// Ticks stand close enough for the controller to tell a sleep (a gap of half a lease) from its own pace.
std::chrono::nanoseconds TickInterval(absl::Duration lease) {
  return absl::ToChronoNanoseconds(std::min(absl::Seconds(1), lease / 8));
}

std::chrono::nanoseconds Std(absl::Duration duration) { return absl::ToChronoNanoseconds(duration); }

absl::Status StoringFailed(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kResourceExhausted) return status;
  return absl::UnavailableError(
      absl::StrCat("What this rests on could not be stored; try again. (", std::string(status.message()), ")"));
}

}  // namespace

absl::Status Coordinator::Change::Step(const core::Event& event) {
  owner_.mutex_.AssertHeld();
  absl::StatusOr<core::Effects> effects = owner_.controller_->Step(event, now_);
  if (!effects.ok()) return effects.status();
  stepped_ = true;
  for (const core::Job& job : effects->jobs) Write(store::PutJob{job});
  for (const core::Attempt& attempt : effects->attempts) {
    Write(store::PutAttempt{attempt});
    if (attempt.live()) continue;  // of one that ended no event is taken any more
    for (int32_t rank = 0; rank < static_cast<int32_t>(attempt.places.size()); ++rank)
      owner_.cursors_.erase({attempt.job, attempt.number, rank});
  }
  stored_.jobs.insert(stored_.jobs.end(), effects->jobs.begin(), effects->jobs.end());
  stored_.attempts.insert(stored_.attempts.end(), effects->attempts.begin(), effects->attempts.end());
  for (const core::Worker& worker : effects->workers) Write(store::PutWorker{worker});
  for (const std::string& name : effects->erased_workers) Write(store::EraseWorker{name});
  return absl::OkStatus();
}

void Coordinator::Change::Write(store::Write write) {
  if (const auto* scalars = std::get_if<store::PutScalars>(&write))
    stored_.scalars += static_cast<int64_t>(scalars->points.size());
  if (const auto* vectors = std::get_if<store::PutVectors>(&write))
    stored_.vectors += static_cast<int64_t>(vectors->points.size());
  transaction_.writes.push_back(std::move(write));
}

void Coordinator::Change::Forget(const std::vector<std::string>& jobs) {
  owner_.mutex_.AssertHeld();
  owner_.controller_->Forget(jobs);
  stepped_ = true;
}

void Coordinator::Change::ForgetCheckpoint(const std::string& name) {
  owner_.mutex_.AssertHeld();
  const core::State& state = owner_.controller_->state();
  const auto found = state.jobs.find(name);
  if (found == state.jobs.end() || !core::IsFinal(found->second.state)) return;
  core::Job job = found->second;
  std::vector<core::Attempt> last;
  if (const auto at = state.attempts.find({name, job.attempts}); at != state.attempts.end()) last.push_back(at->second);
  job.checkpoint_update = -1;
  Forget({name});
  owner_.controller_->Recall({job}, last);
  Write(store::PutJob{job});
}

absl::StatusOr<int64_t> Coordinator::Change::EventCursor(const std::string& job, int32_t attempt, int32_t rank) {
  owner_.mutex_.AssertHeld();
  const auto known = owner_.cursors_.find({job, attempt, rank});
  if (known != owner_.cursors_.end()) return known->second;
  const auto stored = owner_.store_.Cursors(job, attempt);
  if (!stored.ok()) return stored.status();
  const auto found = stored->find(rank);
  return found == stored->end() ? 0 : found->second;
}

void Coordinator::Change::MoveEventCursor(const std::string& job, int32_t attempt, int32_t rank, int64_t seq) {
  owner_.mutex_.AssertHeld();
  owner_.cursors_[{job, attempt, rank}] = seq;
  moved_.emplace_back(job, attempt, rank);
}

absl::StatusOr<std::unique_ptr<Coordinator>> Coordinator::Create(store::Store& store, core::ControllerOptions options,
                                                                 Clock clock) {
  std::unique_ptr<Coordinator> coordinator(new Coordinator(store, options, std::move(clock)));
  base::MutexLock lock(coordinator->mutex_);
  if (absl::Status status = coordinator->Build(); !status.ok()) return status;
  const auto id = store.NextExperimentId();
  if (!id.ok()) return id.status();
  coordinator->next_experiment_id_ = *id;
  return coordinator;
}

Coordinator::~Coordinator() { Stop(); }

void Coordinator::Start() {
  ticker_ = std::thread([this] { Tick(); });
}

void Coordinator::Stop() {
  {
    base::MutexLock lock(mutex_);
    stopping_ = true;
    stepped_.NotifyAll();
    released_.NotifyAll();
  }
  if (ticker_.joinable()) ticker_.join();
}

bool Coordinator::stopping() const {
  base::MutexLock lock(mutex_);
  return stopping_;
}

absl::Status Coordinator::Build() {
  absl::StatusOr<core::State> state = store_.LoadState();
  if (!state.ok()) return state.status();
  controller_.emplace(options_, *std::move(state), clock_());
  cursors_.clear();
  last_step_ = nullptr;
  return absl::OkStatus();
}

void Coordinator::Rebuild(int64_t epoch) {
  base::MutexLock lock(mutex_);
  if (epoch != epoch_ && !broken_) return;
  // What is queued behind the failed transaction fails too; once this one is through, the queue holds nothing of ours.
  (void)store_.Apply({});
  const absl::Status status = Build();
  broken_ = !status.ok();
  ++epoch_;
  stepped_.NotifyAll();
  if (broken_) {
    spdlog::error("The state cannot be read back from the store: {}", std::string(status.message()));
  } else {
    spdlog::warn("A change could not be stored; the state was read back from the store.");
  }
}

absl::Status Coordinator::Update(const std::function<absl::Status(Change&)>& run) {
  absl::Status status;
  std::shared_ptr<store::Commit> before, commit;
  int64_t epoch = 0;
  bool own = false, stepped = false;
  Stored effects;
  const absl::Time start = absl::Now();
  std::vector<std::tuple<std::string, int32_t, int32_t>> moved;
  const std::shared_ptr<AuditNote> note = CurrentAuditNote();
  bool noted = false;
  {
    base::MutexLock lock(mutex_);
    if (broken_) return absl::UnavailableError("The coordinator cannot read its store. Look at its log.");
    Change change(*this, clock_());
    status = run(change);
    epoch = epoch_;
    stepped = change.stepped_;
    before = last_step_;
    own = !change.transaction_.writes.empty() && (status.ok() || stepped);
    if (own) {
      noted = note != nullptr && note->owed;
      if (noted) {
        note->entry.time = change.now();
        change.transaction_.writes.push_back(store::AddAuditEntry{note->entry});
      }
      if (stepped) change.transaction_.epoch = epoch;
      commit = store_.Enqueue(std::move(change.transaction_));
      if (stepped) last_step_ = commit;
    }
    if (stepped) stepped_.NotifyAll();
    moved = std::move(change.moved_);
    effects = std::move(change.stored_);
  }
  // What was seen rests on the steps before it; what was written, on itself too.
  const absl::Status seen = before != nullptr ? before->Wait() : absl::OkStatus();
  const absl::Status stored = own ? commit->Wait() : absl::OkStatus();
  if (!seen.ok() || (!stored.ok() && stepped)) Rebuild(epoch);
  if (!stored.ok()) {
    base::MutexLock lock(mutex_);
    for (const auto& cursor : moved) cursors_.erase(cursor);
    return stored;
  }
  if (noted) note->owed = false;
  if (!seen.ok()) return StoringFailed(seen);
  if (own) {
    effects.seconds = absl::ToDoubleSeconds(absl::Now() - start);
    for (const auto& observe : observers_) observe(effects);
    base::MutexLock lock(mutex_);
    ++releases_;
    released_.NotifyAll();
  }
  return status;
}

absl::Status Coordinator::Look(const std::function<absl::Status(const core::Controller&)>& look) {
  return Update([&](Change& change) { return look(change.controller()); });
}

void Coordinator::AwaitAssignments(const std::string& worker, int64_t known, absl::Duration wait) {
  const auto end = std::chrono::steady_clock::now() + Std(wait);
  base::MutexLock lock(mutex_);
  while (!stopping_ && controller_->Generation(worker) == known) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) return;
    stepped_.WaitFor(mutex_, left);
  }
}

int64_t Coordinator::AwaitRelease(int64_t seen, absl::Duration wait) {
  const auto end = std::chrono::steady_clock::now() + Std(wait);
  base::MutexLock lock(mutex_);
  while (!stopping_ && releases_ <= seen) {
    const auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) break;
    released_.WaitFor(mutex_, left);
  }
  return releases_;
}

void Coordinator::Tick() {
  const auto interval = TickInterval(options_.lease_duration);
  for (;;) {
    {
      const auto end = std::chrono::steady_clock::now() + interval;
      base::MutexLock lock(mutex_);
      while (!stopping_ && std::chrono::steady_clock::now() < end) {
        stepped_.WaitFor(mutex_, end - std::chrono::steady_clock::now());
      }
      if (stopping_) return;
    }
    const absl::Status status = Update([](Change& change) { return change.Step(core::Ticked{}); });
    if (!status.ok()) {
      spdlog::error("A tick failed: {}", std::string(status.message()));
      base::MutexLock lock(mutex_);
      if (!broken_) continue;
    }
    bool broken;
    int64_t epoch;
    {
      base::MutexLock lock(mutex_);
      broken = broken_;
      epoch = epoch_;
    }
    if (broken) Rebuild(epoch);
  }
}

}  // namespace strata::service
