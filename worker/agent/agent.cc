#include "worker/agent/agent.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace strata::agent {
namespace {

constexpr int kDaysToKeepJobs = 7;

// Waits between tries: 50 ms, doubling to a second, half of it random.
class Pauses {
 public:
  absl::Duration Next() {
    pause_ms_ = std::clamp<int64_t>(pause_ms_ * 2, 50, 1000);
    return absl::Milliseconds(pause_ms_ / 2 + std::uniform_int_distribution<int64_t>(0, pause_ms_ / 2)(random_));
  }
  void Reset() { pause_ms_ = 0; }
  bool First() const { return pause_ms_ == 0; }

 private:
  int64_t pause_ms_ = 0;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace

Agent::Agent(AgentOptions options, Coordinator& coordinator, const StateDir& state, Stats& stats)
    : options_(std::move(options)),
      coordinator_(coordinator),
      state_(state),
      stats_(stats),
      datasets_(state.path() + "/datasets", coordinator),
      context_{coordinator,
               state,
               datasets_,
               stats,
               options_.slots,
               options_.trainer,
               options_.patience,
               options_.grace,
               options_.memory_per_slot,
               options_.gpu_trouble,
               [this] {
                 base::MutexLock lock(mutex_);
                 register_again_ = true;
               },
               [this] {
                 base::MutexLock lock(mutex_);
                 some_ended_ = true;
                 changed_.NotifyAll();
               }} {
  stats_.slots = static_cast<int64_t>(options_.slots.size());
  reaper_ = std::thread([this] { Reap(); });
}

Agent::~Agent() {
  {
    base::MutexLock lock(mutex_);
    shut_ = true;
    changed_.NotifyAll();
  }
  reaper_.join();
  std::map<AttemptId, std::unique_ptr<Attempt>> attempts;
  {
    base::MutexLock lock(mutex_);
    attempts.swap(attempts_);
  }
  for (auto& [id, attempt] : attempts) attempt->Leave();
}

void Agent::Leave() {
  {
    base::MutexLock lock(mutex_);
    leaving_ = true;
    for (auto& [id, attempt] : attempts_) attempt->Ask(Wish::kStop);
    changed_.NotifyAll();
  }
  coordinator_.Interrupt();
}

void Agent::RegisterAgain() {
  {
    base::MutexLock lock(mutex_);
    register_again_ = true;
    changed_.NotifyAll();
  }
  coordinator_.Interrupt();
}

std::vector<AttemptId> Agent::Known() const {
  base::MutexLock lock(mutex_);
  std::vector<AttemptId> known;
  for (const auto& [id, attempt] : attempts_) known.push_back(id);
  return known;
}

std::vector<AttemptId> Agent::Running() const {
  std::vector<AttemptId> running = Known();
  base::MutexLock lock(mutex_);
  for (const Assignment& assignment : assigned_.value_or(std::vector<Assignment>())) {
    if (!over_.contains(assignment.id) && !attempts_.contains(assignment.id)) running.push_back(assignment.id);
  }
  return running;
}

void Agent::WaitFor(absl::Duration time) {
  base::MutexLock lock(mutex_);
  changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(time));
}

void Agent::Adopt() {
  std::vector<std::string> jobs;
  for (AttemptRecord& record : state_.Load()) {
    const AttemptId id = record.assignment.id;
    int alive = 0;
    for (RankRecord& rank : record.ranks) {
      const bool runs = !rank.ended && IsRunning(rank.process, state_.SpoolPath(id, rank.rank));
      alive += runs;
      rank.ended = !runs;
      rank.group_gone = !runs;
    }
    jobs.push_back(id.job);
    spdlog::info("{}#{}: found in the state folder, {} of {} processes alive", id.job, id.attempt, alive,
                 record.ranks.size());
    auto attempt = std::make_unique<Attempt>(context_, std::move(record), absl::Now());
    ++stats_.attempts_adopted;
    base::MutexLock lock(mutex_);
    stats_.busy_slots += attempt->ranks();
    attempt->Start();  // it can watch its processes though it cannot report yet
    attempts_[id] = std::move(attempt);
  }
  state_.RemoveOldJobs(kDaysToKeepJobs, jobs);
}

absl::Status Agent::Run() {
  Adopt();
  for (;;) {
    absl::Status status = Register();
    if (status.ok()) status = Serve();
    stats_.connected = 0;
    if (status.code() == absl::StatusCode::kCancelled) return absl::OkStatus();
    if (!status.ok()) return status;
  }
}

absl::Status Agent::Register() {
  Pauses pauses;
  for (;;) {
    auto registration = coordinator_.Register(Known());
    if (registration.ok()) {
      lease_ = registration->lease;
      state_.NoteSession(lease_);
      base::MutexLock lock(mutex_);
      register_again_ = false;
      for (const AttemptId& id : registration->stale) {
        if (auto found = attempts_.find(id); found != attempts_.end()) found->second->Ask(Wish::kAbandon);
      }
      for (const Cursor& cursor : registration->cursors) {
        if (auto found = attempts_.find(cursor.id); found != attempts_.end()) {
          found->second->SetCursor(cursor.rank, cursor.acknowledged);
        }
      }
      return absl::OkStatus();
    }
    const absl::Status& status = registration.status();
    if (Classify(status) == Trouble::kRefused) return status;
    if (pauses.First()) spdlog::warn("not registered yet, trying again: {}", std::string(status.message()));
    const absl::Duration pause = pauses.Next();
    WaitFor(pause);
    if (Farewell()) return absl::CancelledError("left");
  }
}

absl::Status Agent::Serve() {
  Pauses pauses;
  int64_t generation = -1;
  for (;;) {
    bool leaving = false;
    {
      base::MutexLock lock(mutex_);
      if (register_again_) break;
      if (drained_ && !leaving_ && attempts_.empty()) {
        spdlog::info("leaving: this worker is drained");
        leaving_ = true;
      }
      leaving = leaving_;
    }
    if (leaving && Farewell()) return absl::CancelledError("left");
    const absl::Duration wait = leaving ? absl::Milliseconds(100) : lease_ / 3;
    const auto assignments = coordinator_.Synchronize(generation, wait, Running());
    if (assignments.ok()) {
      if (!pauses.First()) spdlog::info("the coordinator answers again");
      stats_.connected = 1;
      state_.NoteAnswer();
      pauses.Reset();
      generation = assignments->generation;
      Apply(*assignments);
      continue;
    }
    const absl::Status& status = assignments.status();
    if (status.code() == absl::StatusCode::kCancelled) continue;  // interrupted
    const Trouble trouble = Classify(status);
    if (trouble == Trouble::kStaleSession || status.code() == absl::StatusCode::kNotFound) break;
    stats_.connected = 0;
    generation = -1;  // a coordinator that was restarted counts anew
    if (pauses.First())
      spdlog::warn("the coordinator does not answer; trainers go on: {}", std::string(status.message()));
    WaitFor(pauses.Next());
  }
  return absl::OkStatus();
}

void Agent::Apply(const Assignments& assignments) {
  const std::vector<Assignment>& assigned = assignments.list;
  base::MutexLock lock(mutex_);
  assigned_ = assigned;
  drained_ = assignments.leave;
  std::erase_if(over_, [&](const AttemptId& id) {
    return std::none_of(assigned.begin(), assigned.end(), [&](const Assignment& a) { return a.id == id; });
  });
  Follow();
}

void Agent::Follow() {
  if (!assigned_) return;  // nothing is known yet: what was adopted goes on
  std::vector<AttemptId> known;
  for (const auto& [id, attempt] : attempts_) known.push_back(id);
  const Reconciliation plan = Reconcile(*assigned_, known, leaving_);
  for (const AttemptId& id : plan.abandon) attempts_[id]->Ask(Wish::kAbandon);
  for (const Assignment& assignment : plan.update) attempts_[assignment.id]->Update(assignment);
  for (const Assignment& assignment : plan.start) {
    if (over_.contains(assignment.id)) continue;
    // An earlier attempt of the job still has processes: they share its folder. Reap comes back to it.
    const bool busy = std::any_of(attempts_.begin(), attempts_.end(),
                                  [&](const auto& entry) { return entry.first.job == assignment.id.job; });
    if (busy) continue;
    auto attempt = std::make_unique<Attempt>(context_, AttemptRecord{assignment, {}}, absl::Now());
    attempt->Start();
    stats_.busy_slots += attempt->ranks();
    attempts_[assignment.id] = std::move(attempt);
  }
}

void Agent::Reap() {
  for (;;) {
    std::vector<std::unique_ptr<Attempt>> ended;
    {
      base::MutexLock lock(mutex_);
      while (!some_ended_ && !shut_) changed_.Wait(mutex_);
      if (shut_) return;
      some_ended_ = false;
      for (auto it = attempts_.begin(); it != attempts_.end();) {
        if (!it->second->ended()) {
          ++it;
          continue;
        }
        over_.insert(it->first);
        stats_.busy_slots -= it->second->ranks();
        ended.push_back(std::move(it->second));
        it = attempts_.erase(it);
      }
    }
    ended.clear();  // joins, without the mutex
    base::MutexLock lock(mutex_);
    if (!shut_) Follow();
  }
}

bool Agent::Farewell() {
  {
    base::MutexLock lock(mutex_);
    if (!leaving_) return false;
    for (auto& [id, attempt] : attempts_) attempt->Ask(Wish::kStop);
    if (!farewell_began_) farewell_began_ = absl::Now();
    const bool late = absl::Now() - *farewell_began_ > options_.farewell;
    if (!attempts_.empty() && !late) return false;
    if (!attempts_.empty()) {
      spdlog::warn("leaving with {} attempts not reported to the end; the next start with this state folder goes on",
                   attempts_.size());
      return true;
    }
  }
  const absl::Status left = coordinator_.Deregister();
  state_.NoteEnd();
  if (!left.ok()) spdlog::warn("could not sign off: {}", std::string(left.message()));
  return true;
}

}  // namespace strata::agent
