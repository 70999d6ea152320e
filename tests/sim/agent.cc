#include "tests/sim/agent.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace strata::sim {

using Kind = SpoolEvent::Kind;

Agent::Agent(std::string name, int32_t slots, std::string device, Loop& loop, Random& random, Network& network,
             Trainers& trainers, Coordinator::Trace trace)
    : name_(std::move(name)),
      slots_(slots),
      device_(std::move(device)),
      loop_(loop),
      random_(random),
      network_(network),
      trainers_(trainers),
      trace_(std::move(trace)),
      uid_(name_ + "-0") {}

void Agent::Start() {
  trace_(absl::StrCat("agent ", name_, " starts"));
  up_ = true;
  registering_ = synchronizing_ = leaving_ = signing_off_ = false;
  session_.clear();
  generation_ = 0;
  ended_.clear();
  for (auto& [key, work] : works_) {  // what was under way is begun anew
    work->reporting.clear();
    work->uploading = work->completing = false;
    work->scanned = 0;
    work->to_upload.clear();
  }
  // An assignment of which nothing was started yet left nothing on the disk.
  std::erase_if(works_, [](const auto& entry) { return entry.second->ranks.empty(); });
  Tick();
}

void Agent::Crash() {
  trace_(absl::StrCat("agent ", name_, " crashes"));
  up_ = false;
  ++life_;
}

void Agent::CrashMachine() {
  trace_(absl::StrCat("machine ", name_, " crashes"));
  Crash();
  for (auto& [key, work] : works_) {
    for (auto& [number, rank] : work->ranks) trainers_.Kill(rank);
  }
}

void Agent::LoseMachine() {
  CrashMachine();
  trace_(absl::StrCat("machine ", name_, " loses its disk"));
  works_.clear();
  uid_ = absl::StrCat(name_, "-", ++machines_);
}

void Agent::ShutDown() {
  trace_(absl::StrCat("agent ", name_, " shuts down"));
  leaving_ = true;
  for (auto& [key, work] : works_) work->stop = true;
}

void Agent::Tick() {
  if (session_.empty()) {
    Register();
  } else {
    Synchronize();
    const auto works = works_;
    for (const auto& [key, work] : works) {
      if (works_.contains(key)) Relay(work);
    }
    if (leaving_ && works_.empty()) SignOff();
  }
  loop_.After(random_.Between(absl::Milliseconds(100), absl::Milliseconds(400)), [this, life = life_] {
    if (life == life_) Tick();
  });
}

void Agent::Register() {
  if (registering_) return;
  registering_ = true;
  core::Worker worker{.name = name_, .uid = uid_};
  for (int32_t i = 0; i < slots_; ++i) worker.slots.push_back({.index = i, .device = device_});
  std::vector<AttemptKey> running;
  for (const auto& [key, work] : works_) running.push_back(key);
  network_.Call<Registration>(
      name_,
      [worker, running](Coordinator& c, Done<Registration> done) { c.Register(worker, running, std::move(done)); },
      IfStill<Registration>([this](absl::StatusOr<Registration> answer) {
        registering_ = false;
        if (!answer.ok()) return;
        session_ = answer->session;
        generation_ = 0;
        for (const AttemptKey& key : answer->stale) Drop(key);
        for (const auto& [cursor, seq] : answer->cursors) {
          const auto work = works_.find({cursor.job, cursor.attempt});
          if (work == works_.end() || !work->second->ranks.contains(cursor.rank)) continue;
          work->second->ranks.at(cursor.rank)->acknowledged = seq;
        }
      }));
}

void Agent::Synchronize() {
  if (synchronizing_) return;
  synchronizing_ = true;
  core::WorkerSynchronized request{.worker = name_, .session = session_, .generation = generation_};
  for (const auto& [key, work] : works_) request.running.push_back(key);
  network_.Call<Synchronized>(
      name_, [request](Coordinator& c, Done<Synchronized> done) { c.Synchronize(request, std::move(done)); },
      IfStill<Synchronized>([this, session = session_](absl::StatusOr<Synchronized> answer) {
        synchronizing_ = false;
        if (session != session_) return;
        if (answer.ok()) return Apply(*answer);
        if (absl::IsFailedPrecondition(answer.status()) || absl::IsNotFound(answer.status())) session_.clear();
      }));
}

void Agent::Apply(const Synchronized& answer) {
  generation_ = answer.generation;
  leaving_ |= answer.leave;
  std::map<AttemptKey, const Assignment*> assigned;
  for (const Assignment& assignment : answer.assignments) {
    assigned[{assignment.base.job, assignment.base.attempt}] = &assignment;
  }
  const auto works = works_;
  for (const auto& [key, work] : works) {
    if (!assigned.contains(key)) Drop(key);
  }
  for (const auto& [key, assignment] : assigned) {
    if (ended_.contains(key)) continue;
    WorkPtr& work = works_[key];
    if (work == nullptr) work = std::make_shared<Work>(Work{.key = key, .assignment = *assignment});
    work->stop |= assignment->base.stop || leaving_;
    if (!assignment->base.rendezvous.empty()) trainers_.Rendezvous(key);
  }
}

// Starts what the slots allow: what ran there before must have ended.
void Agent::Begin(const WorkPtr& work) {
  for (const core::RankPlace& place : work->assignment.base.ranks) {
    if (!work->ranks.contains(place.rank)) work->ranks[place.rank] = trainers_.Start(name_, place, work->assignment);
  }
}

void Agent::Relay(const WorkPtr& work) {
  if (work->stop) {
    for (const auto& [number, rank] : work->ranks) trainers_.Terminate(work->key, rank);
  } else if (work->ranks.empty()) {
    Begin(work);
  }
  bool ended = true, crashed = false;
  for (const auto& [number, rank] : work->ranks) {
    ReportRank(work, number);
    ended &= !rank->alive && rank->acknowledged >= static_cast<int64_t>(rank->spool.size());
    crashed |= !rank->alive && (rank->spool.empty() || rank->spool.back().kind != Kind::kEnded);
  }
  for (const auto& [number, rank] : work->ranks) {
    if (crashed) trainers_.Kill(rank);  // a gang that has lost a rank cannot go on, nor begin
  }
  Upload(work);
  if (ended && (work->stop || !work->ranks.empty()) && work->to_upload.empty() && !work->uploading) Complete(work);
}

void Agent::ReportRank(const WorkPtr& work, int32_t number) {
  const std::shared_ptr<Rank>& rank = work->ranks.at(number);
  const auto size = static_cast<int64_t>(rank->spool.size());
  if (work->reporting[number] || rank->acknowledged >= size) return;
  work->reporting[number] = true;
  const int64_t first = rank->acknowledged + 1, last = std::min(size, rank->acknowledged + 20);
  const std::vector<SpoolEvent> events(rank->spool.begin() + first - 1, rank->spool.begin() + last);
  const RankKey key{work->key.first, work->key.second, number};
  network_.Call<int64_t>(
      name_,
      [name = name_, session = session_, key, first, events](Coordinator& c, Done<int64_t> done) {
        c.Report(name, session, key, first, events, std::move(done));
      },
      IfStill<int64_t>([this, work, rank, number](absl::StatusOr<int64_t> answer) {
        work->reporting[number] = false;
        if (!answer.ok()) return Failed(answer.status(), work->key);
        if (*answer > static_cast<int64_t>(rank->spool.size()))
          throw Violation("events were acknowledged that were never written");
        rank->acknowledged = *answer;
      }));
}

// A checkpoint is offered only once all events before it are acknowledged, so that what a later attempt does not
// measure again is stored.
void Agent::Upload(const WorkPtr& work) {
  if (work->ranks.contains(0)) {
    const Rank& rank = *work->ranks.at(0);
    for (; work->scanned < rank.acknowledged; ++work->scanned) {
      const SpoolEvent& event = rank.spool[work->scanned];
      if (event.kind == Kind::kCheckpoint) work->to_upload.push_back(event.update);
    }
  }
  if (work->to_upload.empty() || work->uploading) return;
  work->uploading = true;
  const int32_t update = work->to_upload.front();
  network_.Call<Nothing>(
      name_,
      [key = work->key, update](Coordinator& c, Done<Nothing> done) {
        c.Checkpoint(key.first, key.second, update, std::move(done));
      },
      IfStill<Nothing>([this, work](absl::StatusOr<Nothing> answer) {
        work->uploading = false;
        if (!answer.ok()) return Failed(answer.status(), work->key);
        work->to_upload.erase(work->to_upload.begin());
      }));
}

Completion Agent::Outcome(const Work& work) const {
  Completion completion{.job = work.key.first, .attempt = work.key.second, .outcome = "stopped"};
  for (const auto& [number, rank] : work.ranks) {
    completion.positions.push_back({number, static_cast<int64_t>(rank->spool.size()), "event"});
  }
  for (const auto& [number, rank] : work.ranks) {
    const SpoolEvent* last = rank->spool.empty() ? nullptr : &rank->spool.back();
    if (last == nullptr || last->kind != Kind::kEnded) {
      completion.outcome = "failed";
      completion.cause = "crashed";
      return completion;
    }
    completion.outcome = last->text;
    completion.cause = last->cause;
    completion.to_end = last->to_end;
    if (last->text == "failed") return completion;
  }
  return completion;
}

void Agent::Complete(const WorkPtr& work) {
  if (work->completing) return;
  work->completing = true;
  network_.Call<Nothing>(
      name_,
      [name = name_, session = session_, completion = Outcome(*work)](Coordinator& c, Done<Nothing> done) {
        c.Complete(name, session, completion, std::move(done));
      },
      IfStill<Nothing>([this, work](absl::StatusOr<Nothing> answer) {
        work->completing = false;
        if (!answer.ok()) return Failed(answer.status(), work->key);
        ended_.insert(work->key);
        works_.erase(work->key);
      }));
}

void Agent::SignOff() {
  if (signing_off_) return;
  signing_off_ = true;
  network_.Call<Nothing>(
      name_,
      [name = name_, session = session_](Coordinator& c, Done<Nothing> done) {
        c.Leave(name, session, std::move(done));
      },
      IfStill<Nothing>([this](absl::StatusOr<Nothing> answer) {
        signing_off_ = false;
        if (answer.ok() || !absl::IsUnavailable(answer.status())) Crash();
      }));
}

void Agent::Failed(const absl::Status& status, const AttemptKey& key) {
  if (absl::StartsWith(status.message(), "stale_session")) {
    session_.clear();
  } else if (absl::StartsWith(status.message(), "stale_attempt") || absl::IsNotFound(status)) {
    Drop(key);
  }
}

void Agent::Tell(const Work& work) {
  if (work.assignment.base.world_size < 2) return;
  Completion completion = Outcome(work);
  for (const auto& [number, rank] : work.ranks) {
    if (!rank->alive) continue;
    completion.outcome = "failed";
    completion.cause = "rank_lost";
  }
  network_.Call<Nothing>(
      name_,
      [name = name_, session = session_, completion](Coordinator& c, Done<Nothing> done) {
        c.Complete(name, session, completion, std::move(done));
      },
      [](absl::StatusOr<Nothing>) {});
}

void Agent::Drop(const AttemptKey& key) {
  const auto work = works_.find(key);
  if (work == works_.end()) return;
  Tell(*work->second);
  for (const auto& [number, rank] : work->second->ranks) trainers_.Kill(rank);
  ended_.insert(key);
  works_.erase(work);
}

}  // namespace strata::sim
