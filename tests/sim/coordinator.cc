#include "tests/sim/coordinator.h"

#include "absl/strings/str_cat.h"
#include "server/core/job.h"

namespace strata::sim {

using core::Event;

Coordinator::Coordinator(core::ControllerOptions options, Loop& loop, Random& random, Disk& disk, Ledger& ledger,
                         Trace trace)
    : options_(options), loop_(loop), random_(random), disk_(disk), ledger_(ledger), trace_(std::move(trace)) {}

void Coordinator::Start() {
  trace_("coordinator starts");
  Load();
  Tick();
}

void Coordinator::Load() {
  batch_ = {};
  replies_.clear();
  flushing_ = false;
  cursors_ = disk_.cursors;
  requests_ = disk_.requests;
  next_id_ = disk_.next_id;
  ledger_.Restarted(disk_);
  controller_ = std::make_unique<core::Controller>(options_, disk_.Load(), loop_.wall());
}

void Coordinator::Crash() {
  trace_(absl::StrCat("coordinator crashes with ", replies_.size(), " answers not stored"));
  ++life_;
  controller_.reset();
  batch_ = {};
  replies_.clear();
}

void Coordinator::Tick() {
  Step(core::Ticked{}).IgnoreError();
  if (!batch_.effects.empty()) Release([] {});
  loop_.After(absl::Seconds(1), [this, life = life_] {
    if (life == life_) Tick();
  });
}

absl::Status Coordinator::Step(const Event& event, bool retry) {
  ++steps_;
  absl::StatusOr<core::Effects> effects = controller_->Step(event, loop_.wall());
  if (!effects.ok()) return effects.status();
  for (const core::Job& job : effects->jobs) {
    trace_(absl::StrCat("  > ", job.name, " ", Name(job.state), job.cause.empty() ? "" : " ", job.cause,
                        " attempts=", job.attempts, " failures=", job.failures, " checkpoint=", job.checkpoint_update));
  }
  ledger_.Stepped(controller_->state(), *effects, retry);
  const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
  append(batch_.effects.jobs, effects->jobs);
  append(batch_.effects.attempts, effects->attempts);
  append(batch_.effects.workers, effects->workers);
  append(batch_.effects.erased_workers, effects->erased_workers);
  return absl::OkStatus();
}

void Coordinator::Release(std::function<void()> reply) {
  replies_.push_back(std::move(reply));
  if (flushing_) return;
  flushing_ = true;
  loop_.After(random_.Between(absl::Milliseconds(1), absl::Milliseconds(20)), [this, life = life_] {
    if (life == life_) Flush();
  });
}

void Coordinator::Flush() {
  flushing_ = false;
  if (store_fails_) {
    trace_("storing fails; the coordinator reads its state back");
    store_fails_ = false;
    ++life_;
    Load();
    Tick();
    return;
  }
  disk_.Commit(batch_);
  batch_ = {};
  CheckStored();
  const auto replies = std::move(replies_);
  replies_.clear();
  for (const auto& reply : replies) reply();
}

// Every change of the state must have been among the effects.
void Coordinator::CheckStored() const {
  for (const auto& [name, job] : controller_->state().jobs) {
    const auto stored = disk_.jobs.find(name);
    if (stored == disk_.jobs.end() || stored->second.state != job.state || stored->second.failures != job.failures ||
        stored->second.attempts != job.attempts || stored->second.checkpoint_update != job.checkpoint_update ||
        stored->second.held != job.held || stored->second.message != job.message) {
      throw Violation(absl::StrCat("a change of ", name, " was not among the effects"));
    }
  }
  for (const auto& [name, worker] : controller_->state().workers) {
    const auto stored = disk_.workers.find(name);
    if (stored == disk_.workers.end() || stored->second.state != worker.state ||
        stored->second.cordoned != worker.cordoned || stored->second.draining != worker.draining) {
      throw Violation(absl::StrCat("a change of ", name, " was not among the effects"));
    }
  }
  for (const auto& [key, attempt] : controller_->state().attempts) {
    const auto stored = disk_.attempts.find(key);
    if (stored == disk_.attempts.end() || stored->second != attempt) {
      throw Violation(absl::StrCat("a change of ", key.first, " attempt ", key.second, " was not among the effects"));
    }
  }
}

template <class T>
void Coordinator::Answer(Done<T> done, absl::StatusOr<T> answer) {
  Release([done = std::move(done), answer = std::move(answer)] { done(answer); });
}

void Coordinator::Submit(const std::string& request, const std::vector<JobDraft>& drafts,
                         Done<std::vector<std::string>> done) {
  if (const auto known = requests_.find(request); known != requests_.end()) {
    return Answer<std::vector<std::string>>(done, known->second);
  }
  const std::string experiment = absl::StrCat("e", next_id_++);
  core::JobsSubmitted event;
  std::vector<std::string> names;
  for (const JobDraft& draft : drafts) {
    const std::string name =
        absl::StrCat(experiment, "/", names.size(), draft.kind == core::JobKind::kTrain ? "/train" : "/eval");
    event.jobs.push_back({.name = name,
                          .kind = draft.kind,
                          .accepts_diverged = draft.accepts_diverged,
                          .priority = draft.priority,
                          .ranks = draft.ranks,
                          .min_ranks = draft.min_ranks,
                          .global_batch = draft.global_batch,
                          .max_attempts = draft.max_attempts});
    if (draft.upstream >= 0) event.jobs.back().upstream = names[draft.upstream];
    names.push_back(name);
  }
  if (const absl::Status status = Step(event); !status.ok()) return Answer<std::vector<std::string>>(done, status);
  for (size_t i = 0; i < names.size(); ++i) batch_.facts[names[i]] = drafts[i].facts;
  batch_.requests[request] = requests_[request] = names;
  batch_.next_id = next_id_;
  Answer<std::vector<std::string>>(done, names);
}

void Coordinator::Cancel(const std::string& job, Done<Nothing> done) {
  const absl::Status status = Step(core::CancelRequested{job});
  if (!status.ok()) return Answer<Nothing>(done, status);
  Release([this, job, done] {
    ledger_.CancelAcknowledged(job);
    done(Nothing{});
  });
}

void Coordinator::Retry(const std::string& job, Done<Nothing> done) {
  const absl::Status status = Step(core::RetryRequested{job}, true);
  if (!status.ok()) return Answer<Nothing>(done, status);
  ledger_.Retried(job);
  Answer<Nothing>(done, Nothing{});
}

void Coordinator::Promise(const Event& event, std::function<void()> kept, Done<Nothing> done) {
  if (const absl::Status status = Step(event); !status.ok()) return Answer<Nothing>(done, status);
  Release([kept = std::move(kept), done] {
    kept();
    done(Nothing{});
  });
}

void Coordinator::Hold(const std::string& job, Done<Nothing> done) {
  Promise(
      core::HoldRequested{job}, [this, job] { ledger_.HoldAcknowledged(job, true); }, std::move(done));
}

void Coordinator::Unhold(const std::string& job, Done<Nothing> done) {
  Promise(
      core::ReleaseRequested{job}, [this, job] { ledger_.HoldAcknowledged(job, false); }, std::move(done));
}

void Coordinator::Cordon(const std::string& worker, Done<Nothing> done) {
  Promise(
      core::CordonRequested{worker}, [this, worker] { ledger_.CordonAcknowledged(worker, true); }, std::move(done));
}

void Coordinator::Uncordon(const std::string& worker, Done<Nothing> done) {
  Promise(
      core::UncordonRequested{worker}, [this, worker] { ledger_.CordonAcknowledged(worker, false); }, std::move(done));
}

void Coordinator::Drain(const std::string& worker, Done<Nothing> done) {
  Promise(
      core::DrainRequested{worker}, [this, worker] { ledger_.CordonAcknowledged(worker, true); }, std::move(done));
}

void Coordinator::Register(core::Worker worker, const std::vector<AttemptKey>& running, Done<Registration> done) {
  worker.session = absl::StrCat("s", life_, ".", ++sessions_);
  if (const absl::Status status = Step(core::WorkerRegistered{worker, running}); !status.ok()) {
    return Answer<Registration>(done, status);
  }
  ledger_.Heard(worker.name);
  Registration answer{.session = worker.session};
  for (const AttemptKey& key : running) {
    if (!controller_->CheckAttempt(key.first, key.second).ok()) answer.stale.push_back(key);
    for (auto at = cursors_.lower_bound({key.first, key.second, 0});
         at != cursors_.end() && at->first.job == key.first && at->first.attempt == key.second; ++at) {
      answer.cursors.insert(*at);
    }
  }
  Answer<Registration>(done, answer);
}

void Coordinator::Synchronize(const core::WorkerSynchronized& request, Done<Synchronized> done) {
  if (const absl::Status status = Step(request); !status.ok()) return Answer<Synchronized>(done, status);
  ledger_.Heard(request.worker);
  Synchronized answer{.generation = controller_->Generation(request.worker)};
  answer.leave = controller_->Leaves(request.worker);
  for (const core::WorkerAssignment& assignment : controller_->Assignments(request.worker)) {
    if (!controller_->CheckAttempt(assignment.job, assignment.attempt).ok()) {
      throw Violation(absl::StrCat(assignment.job, " attempt ", assignment.attempt,
                                   " has ended and is still assigned to ", request.worker));
    }
    const auto facts = batch_.facts.find(assignment.job);
    answer.assignments.push_back({assignment,
                                  controller_->state().attempts.at({assignment.job, assignment.attempt}).resumed_from,
                                  facts != batch_.facts.end() ? facts->second : disk_.facts.at(assignment.job)});
  }
  Answer<Synchronized>(done, answer);
}

absl::Status Coordinator::CheckCaller(const std::string& worker, const std::string& session, const std::string& job,
                                      int32_t attempt) {
  if (absl::Status status = controller_->CheckSession(worker, session); !status.ok()) return status;
  return controller_->CheckAttempt(job, attempt);
}

void Coordinator::Report(const std::string& worker, const std::string& session, const RankKey& rank, int64_t first,
                         const std::vector<SpoolEvent>& events, Done<int64_t> done) {
  if (const absl::Status status = CheckCaller(worker, session, rank.job, rank.attempt); !status.ok()) {
    return Answer<int64_t>(done, status);
  }
  ledger_.Wrote(rank.job, rank.attempt);
  int64_t& cursor = cursors_[rank];
  if (first > cursor + 1) return Answer<int64_t>(done, cursor);  // a gap: the answer says where to go on
  for (size_t i = 0; i < events.size(); ++i) {
    const int64_t seq = first + static_cast<int64_t>(i);
    if (seq <= cursor) continue;
    Store(rank, seq, events[i]);
    batch_.cursors[rank] = cursor = seq;
  }
  Release([this, rank, seq = cursor, done] {
    ledger_.EventsAcknowledged(rank, seq);
    done(seq);
  });
}

void Coordinator::Store(const RankKey& rank, int64_t seq, const SpoolEvent& event) {
  switch (event.kind) {
    case SpoolEvent::Kind::kStarted:
      Step(core::RankStarted{rank.job, rank.attempt, rank.rank}).IgnoreError();
      break;
    case SpoolEvent::Kind::kRendezvous:
      Step(core::RendezvousOpened{rank.job, rank.attempt, event.text}).IgnoreError();
      break;
    case SpoolEvent::Kind::kMeasured:
      batch_.measurements.push_back({rank, event.update});
      Release([this, key = MeasurementKey{rank, event.update}] { ledger_.MeasurementAcknowledged(key); });
      break;
    default:
      break;
  }
}

void Coordinator::Checkpoint(const std::string& job, int32_t attempt, int32_t update, Done<Nothing> done) {
  const absl::Status status = Step(core::CheckpointAcknowledged{job, attempt, update});
  if (status.ok()) ledger_.Wrote(job, attempt);
  Answer<Nothing>(done, status.ok() ? absl::StatusOr<Nothing>(Nothing{}) : status);
}

void Coordinator::Complete(const std::string& worker, const std::string& session, const Completion& completion,
                           Done<Nothing> done) {
  absl::Status status = controller_->CheckSession(worker, session);
  if (status.ok()) {
    status = Step(core::AttemptCompleted{completion.job,
                                         completion.attempt,
                                         worker,
                                         completion.outcome,
                                         completion.to_end,
                                         completion.cause,
                                         "",
                                         {},
                                         completion.positions});
  }
  Answer<Nothing>(done, status.ok() ? absl::StatusOr<Nothing>(Nothing{}) : status);
}

void Coordinator::Leave(const std::string& worker, const std::string& session, Done<Nothing> done) {
  const absl::Status status = Step(core::WorkerLeft{worker, session});
  Answer<Nothing>(done, status.ok() ? absl::StatusOr<Nothing>(Nothing{}) : status);
}

}  // namespace strata::sim
