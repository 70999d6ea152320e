#include "worker/agent/attempt.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

using Steady = std::chrono::steady_clock;

// A probe tells nothing before it is done; other jobs have read, built and met within this time.
absl::Duration StartLimit(JobKind kind) { return kind == JobKind::kProbe ? absl::Hours(1) : absl::Minutes(10); }

}  // namespace

Attempt::Attempt(const AttemptContext& context, AttemptRecord record, absl::Time assigned)
    : context_(context),
      id_(record.assignment.id),
      assigned_(assigned),
      preparation_(context.coordinator, context.datasets, context.state),
      life_(context.patience, context.grace),
      stall_(StallLimit(record.assignment.spec_json), StartLimit(record.assignment.kind)),
      record_(std::move(record)) {
  std::vector<LogRelay::Source> sources;
  for (const RankSlot& place : record_.assignment.ranks) {
    ranks_.push_back({place.rank, std::make_unique<Spool>(context_.state.SpoolPath(id_, place.rank))});
    sources.push_back({place.rank, context_.state.LogPath(id_, place.rank)});
  }
  log_ = std::make_unique<LogRelay>(context_.coordinator, id_, std::move(sources), record_.assignment.world_size == 1,
                                    context_.state.AttemptFolder(id_) + "/log-positions.json");
  rendezvous_ = record_.assignment.rendezvous;
  if (record_.assignment.stop) wish_ = record_.assignment.checkpoint ? Wish::kStop : Wish::kStopWithoutCheckpoint;
  if (record_.started()) {
    life_.Adopt();
    prepared_.out_folder = context_.state.OutFolder(record_.assignment);
  }
}

Attempt::~Attempt() {
  Leave();
  if (thread_.joinable()) thread_.join();
}

void Attempt::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Attempt::Update(const Assignment& assignment) {
  {
    base::MutexLock lock(mutex_);
    if (!assignment.rendezvous.empty()) rendezvous_ = assignment.rendezvous;
  }
  if (assignment.stop) Ask(assignment.checkpoint ? Wish::kStop : Wish::kStopWithoutCheckpoint);
}

void Attempt::Ask(Wish wish) {
  base::MutexLock lock(mutex_);
  if (wish <= wish_) return;
  wish_ = wish;
  if (wish == Wish::kAbandon) {  // here and now: the thread may wait for an answer of the coordinator
    for (const RankRecord& rank : record_.ranks) {
      if (rank.process.pid == 0 || rank.ended) continue;
      if (!Identify(rank.process.pid)) dead_before_.insert(rank.rank);
    }
    NoteSuspended();
    for (const RankRecord& rank : record_.ranks) {
      if (rank.process.pid == 0 || rank.ended) continue;
      SignalGroup(rank.process, SIGKILL);
    }
  }
  wake_.NotifyAll();
}

void Attempt::SetCursor(int32_t rank, int64_t acknowledged) {
  base::MutexLock lock(mutex_);
  cursors_[rank] = acknowledged;
  wake_.NotifyAll();
}

void Attempt::Leave() {
  base::MutexLock lock(mutex_);
  leave_ = true;
  wake_.NotifyAll();
}

bool Attempt::ended() const {
  base::MutexLock lock(mutex_);
  return ended_;
}

Wish Attempt::wish() const {
  base::MutexLock lock(mutex_);
  return wish_;
}

void Attempt::Run() {
  oom_kills_before_ = KernelOomKills();
  Steady::time_point last = Steady::now();
  const Steady::time_point begun = last;
  for (;;) {
    if (life_.phase() == Phase::kPreparing && !is_prepared_ && !failure_ && wish() == Wish::kRun) Prepare();
    Sight sight = Look();
    const Steady::time_point now = Steady::now();
    sight.stalled = LookForStall(absl::FromChrono(now - last));
    if (LookAtMemory()) sight.stalled = sight.rank_failed = true;
    Act(life_.Step(sight, absl::FromChrono(now - last)));
    last = now;
    if (life_.phase() == Phase::kDone) break;
    const bool quiet = life_.phase() == Phase::kRunning && now - begun > std::chrono::seconds(5);
    base::MutexLock lock(mutex_);
    if (leave_) return;
    wake_.WaitFor(mutex_, quiet ? std::chrono::milliseconds(50) : std::chrono::milliseconds(10));
    if (leave_) return;
  }
  {
    base::MutexLock lock(mutex_);
    ended_ = true;
  }
  context_.ended();
}

void Attempt::Prepare() {
  const absl::Status made = base::MakeFolders(context_.state.AttemptFolder(id_));
  if (!made.ok()) {
    const bool full = made.code() == absl::StatusCode::kResourceExhausted;
    failure_ = {full ? "disk_full" : "start_failed", std::string(made.message())};
    return;
  }
  const auto give_up = [this] {
    base::MutexLock lock(mutex_);
    return leave_ || wish_ != Wish::kRun;
  };
  PreparationFailure failure;
  is_prepared_ = preparation_.Prepare(record_.assignment, give_up, &prepared_, &failure);
  if (!is_prepared_ && !give_up()) failure_ = failure;
}

void Attempt::StartTrainers() {
  for (size_t i = 0; i < record_.assignment.ranks.size(); ++i) {
    const absl::Status started = StartRank(i);
    if (started.code() == absl::StatusCode::kCancelled) return;  // asked to stop meanwhile
    if (!started.ok()) {
      const bool full = started.code() == absl::StatusCode::kResourceExhausted;
      failure_ = {full ? "disk_full" : "start_failed", std::string(started.message())};
      return;
    }
  }
  ++context_.stats.attempts_started;
  spdlog::info("{}#{}: started, {} ms after its assignment", id_.job, id_.attempt,
               absl::ToInt64Milliseconds(absl::Now() - assigned_));
}

absl::Status Attempt::StartRank(size_t index) {
  const RankSlot place = record_.assignment.ranks[index];
  if (place.slot < 0 || static_cast<size_t>(place.slot) >= context_.slots.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("this worker has no slot ", place.slot, "; it has ", context_.slots.size(), ", from 0"));
  }
  const Command command = TrainerCommand(context_.trainer, context_.state, record_.assignment, prepared_, place.rank,
                                         context_.slots[static_cast<size_t>(place.slot)]);
  const auto record = [&](const ProcessId& process) -> absl::Status {
    base::MutexLock lock(mutex_);
    if (wish_ != Wish::kRun || leave_) return absl::CancelledError("asked to stop");
    record_.ranks.push_back({place.rank, place.slot, process});
    absl::Status saved = context_.state.Save(record_);
    if (!saved.ok()) record_.ranks.pop_back();
    return saved;
  };
  const auto process = strata::agent::Start(command, record);
  if (process.ok()) return absl::OkStatus();
  base::MutexLock lock(mutex_);
  if (record_.ranks.size() > index) record_.ranks.pop_back();
  absl::Status status = process.status();
  if (status.code() == absl::StatusCode::kNotFound) {
    status = absl::NotFoundError(absl::StrCat(status.message(), " Give the trainer's path with --trainer."));
  }
  return status;
}

Sight Attempt::Look() {
  Sight sight;
  sight.wish = wish();
  if (uploader_ && uploader_->stale()) Ask(Wish::kAbandon);
  LookAtProcesses(&sight.processes_gone);
  if (sight.wish == Wish::kAbandon) {
    sight.to_tell = record_.assignment.world_size > 1 && !told_ && !completion_accepted_;
    return sight;
  }
  const bool relayed = RelayEvents();
  PassRendezvous();
  const Steady::time_point now = Steady::now();
  if (now >= retry_at_ && (sight.processes_gone || now - last_log_ > std::chrono::milliseconds(300))) {
    last_log_ = now;
    const absl::Status logged = log_->Step(sight.processes_gone);
    if (Classify(logged) == Trouble::kRefused) {
      log_refusals_ += 1;
    } else if (!logged.ok()) {
      NoteTrouble(logged);
    } else {
      log_refusals_ = 0;
    }
  }
  const bool logged = log_->Done() || log_refusals_ > 20;
  if (sight.wish == Wish::kRun) LookForFailures();  // after the spools were read behind a process that is gone
  sight.prepared = is_prepared_;
  sight.preparing_failed = failure_.has_value();
  sight.rank_failed = first_failed_ >= 0 || !broken_.empty();
  sight.events_acknowledged = sight.processes_gone && (relayed || !broken_.empty()) && logged;
  if (sight.events_acknowledged && uploader_ && !finishing_uploads_) {
    finishing_uploads_ = true;
    const std::string outcome = Verdict().outcome;
    uploader_->Finish(/*resumable_needed=*/outcome != "diverged");
  }
  sight.uploads_done = !uploader_ || uploader_->Done();
  sight.completion_accepted = completion_accepted_;
  return sight;
}

void Attempt::LookAtProcesses(bool* gone) {
  *gone = true;
  bool changed = false;
  for (RankRecord& rank : record_.ranks) {
    if (rank.ended) continue;
    if (const auto exit = Poll(rank.process)) {
      SignalGroup(rank.process, SIGKILL);  // whatever it has left behind in its group
      base::MutexLock lock(mutex_);
      rank.exit = *exit;
      rank.ended = changed = true;
    }
  }
  if (changed) (void)context_.state.Save(record_);
  for (const RankRecord& rank : record_.ranks) {
    if (!rank.ended || (!rank.group_gone && !GroupIsGone(rank.process))) *gone = false;
  }
  if (*gone) {
    for (RankRecord& rank : record_.ranks) rank.group_gone = true;
  }
}

void Attempt::SignalAll(int signal) {
  {
    base::MutexLock lock(mutex_);
    NoteSuspended();
  }
  for (const RankRecord& rank : record_.ranks) {
    if (!rank.group_gone) SignalGroup(rank.process, signal);
  }
}

void Attempt::Act(Action action) {
  switch (action) {
    case Action::kWait:
      return;
    case Action::kStart:
      return StartTrainers();
    case Action::kAskToStop:
      return SignalAll(SIGTERM);
    case Action::kKill:
      return SignalAll(SIGKILL);
    case Action::kComplete:
      return Complete();
    case Action::kTell:
      return TellEnd();
    case Action::kCleanUp:
      return CleanUp();
  }
}

}  // namespace strata::agent
