#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "server/core/job.h"

namespace strata::sim {
namespace {

constexpr absl::Duration kLease = absl::Seconds(6);
constexpr absl::Duration kGrowAfter = absl::Seconds(5);  // trainings are short here
constexpr int32_t kMostRanks = 4;                        // with one worker gone, the others have as many slots

Coordinator::Trace Tracer(const Loop& loop, bool on) {
  if (!on) return [](const std::string&) {};
  return [&loop](const std::string& line) {
    std::printf("%9.3f %s\n", absl::ToDoubleSeconds(loop.awake()), line.c_str());
  };
}

core::ControllerOptions Options() { return {.lease_duration = kLease, .grow_after = kGrowAfter}; }

}  // namespace

World::World(uint64_t seed, bool trace)
    : trace_(trace),
      only_sleep_(seed % 10 == 0),
      random_(seed),
      ledger_(loop_, kLease, kGrowAfter),
      coordinator_(Options(), loop_, random_, disk_, ledger_, Tracer(loop_, trace)),
      network_(loop_, random_, coordinator_),
      trainers_(loop_, random_, Tracer(loop_, trace)) {
  const int64_t agents = random_.Between(kLeastAgents, 7);
  for (int64_t i = 1; i <= agents; ++i) {
    // The first five can hold every job, the others have GPUs.
    const std::string device = i > kLeastAgents ? "gpu" : "";
    agents_.push_back(std::make_unique<Agent>(absl::StrCat("w", i), static_cast<int32_t>(random_.Between(1, 3)), device,
                                              loop_, random_, network_, trainers_, Tracer(loop_, trace)));
  }
  if (only_sleep_) ledger_.NothingMayFail();
  figures_.agents = agents;
}

Figures World::Run() {
  coordinator_.Start();
  for (const auto& agent : agents_) agent->Start();
  if (!only_sleep_) {
    network_.lost = static_cast<int>(random_.Between(0, 40));
    network_.doubled = static_cast<int>(random_.Between(0, 40));
    network_.slow = static_cast<int>(random_.Between(0, 30));
  }
  const int64_t faults = random_.Between(kLeastFaults, kLeastFaults + 20);
  absl::Duration at;
  int64_t jobs = 0;
  for (int request = 0; jobs < kLeastJobs + 10; ++request) {
    const std::vector<JobDraft> drafts = Draft();
    jobs += static_cast<int64_t>(drafts.size());
    loop_.After(random_.Between(absl::ZeroDuration(), absl::Seconds(faults)),
                [this, id = absl::StrCat("request-", request), drafts] { Submit(id, drafts); });
    ++open_submits_;
  }
  for (int64_t i = 0; i < faults; ++i) {
    at += random_.Between(absl::Milliseconds(200), absl::Seconds(3));
    loop_.After(at, [this] { Fault(); });
    if (only_sleep_) continue;
    const absl::Duration then = at + absl::Milliseconds(random_.Between(0, 900));
    if (i % 5 == 0) loop_.After(then, [this] { Meddle(); });
    if (i % 12 == 0) loop_.After(then, [this] { MeddleWorker(); });
  }
  bool over = false;
  loop_.After(at + absl::Seconds(20), [&over] { over = true; });
  while (!over) loop_.RunOne();
  Drain();
  figures_.faults = faults;
  Count();
  if (figures_.jobs < kLeastJobs) throw Violation(absl::StrCat("only ", figures_.jobs, " jobs in this seed"));
  return figures_;
}

void World::Count() {
  figures_.message_faults = network_.faults;
  figures_.steps = coordinator_.steps();
  figures_.jobs = static_cast<int64_t>(disk_.jobs.size());
  figures_.attempts = static_cast<int64_t>(disk_.attempts.size());
  figures_.measurements = static_cast<int64_t>(disk_.measurements.size());
  for (const auto& [name, job] : disk_.jobs) ++figures_.ends[core::Name(job.state)];
  for (const auto& [key, attempt] : disk_.attempts) {
    figures_.gangs += attempt.places.size() > 1;
    const auto before = disk_.attempts.find({key.first, key.second - 1});
    figures_.resized += before != disk_.attempts.end() && before->second.places.size() != attempt.places.size();
    figures_.drained += attempt.stop_reason.ends_with("is drained.");
  }
}

// A trial: a training and its evaluations. Some diverge, some run out of memory, some are gangs.
std::vector<JobDraft> World::Draft() {
  std::vector<JobDraft> drafts;
  for (int64_t trial = random_.Between(1, 4); trial > 0; --trial) {
    JobDraft train{.priority = random_.Chance(200) ? static_cast<int32_t>(random_.Between(-2, 2)) : 0,
                   .ranks = random_.Chance(350) ? static_cast<int32_t>(random_.Between(2, kMostRanks)) : 1,
                   .max_attempts = static_cast<int32_t>(random_.Between(2, 8)),
                   .facts = {.updates = static_cast<int32_t>(random_.Between(3, 60))}};
    train.global_batch = train.ranks * static_cast<int32_t>(random_.Between(1, 2));
    if (train.ranks > 1 && random_.Chance(500)) {
      train.min_ranks = static_cast<int32_t>(random_.Between(1, train.ranks - 1));
      train.facts.updates += static_cast<int32_t>(random_.Between(0, 120));
    }
    if (random_.Chance(200)) {
      train.facts.diverges_at = static_cast<int32_t>(random_.Between(1, train.facts.updates));
      train.facts.trains_on = random_.Chance(500);
    } else if (random_.Chance(80) && !only_sleep_) {
      train.facts.out_of_memory_at = static_cast<int32_t>(random_.Between(1, train.facts.updates));
    }
    const int upstream = static_cast<int>(drafts.size());
    drafts.push_back(train);
    for (int64_t evals = random_.Between(0, 2); evals > 0; --evals) {
      drafts.push_back({.kind = core::JobKind::kEvaluate,
                        .priority = train.priority,
                        .ranks = random_.Chance(150) ? 2 : 1,
                        .max_attempts = train.max_attempts,
                        .upstream = upstream,
                        .accepts_diverged = train.facts.trains_on,
                        .facts = {.updates = static_cast<int32_t>(random_.Between(1, 8))}});
    }
  }
  return drafts;
}

void World::Submit(const std::string& request, std::vector<JobDraft> drafts) {
  network_.Call<std::vector<std::string>>(
      "person",
      [request, drafts](Coordinator& c, Done<std::vector<std::string>> done) {
        c.Submit(request, drafts, std::move(done));
      },
      [this, request, drafts](absl::StatusOr<std::vector<std::string>> answer) {
        if (!answer.ok()) {
          figures_.infeasible += absl::IsFailedPrecondition(answer.status());
          loop_.After(absl::Milliseconds(random_.Between(100, 2000)),
                      [this, request, drafts] { Submit(request, drafts); });
          return;
        }
        ledger_.SubmitAcknowledged(request, *answer);
        jobs_.insert(jobs_.end(), answer->begin(), answer->end());
        --open_submits_;
      });
}

void World::Meddle() {
  if (jobs_.empty()) return;
  const std::string job = jobs_[random_.Between(0, static_cast<int64_t>(jobs_.size()) - 1)];
  const int64_t wish = random_.Between(0, 9);
  if (wish <= 2) {
    network_.Call<Nothing>(
        "person", [job](Coordinator& c, Done<Nothing> done) { c.Cancel(job, std::move(done)); },
        [](absl::StatusOr<Nothing>) {});
    return;
  }
  if (wish <= 5) {
    Insist([job](Coordinator& c, Done<Nothing> done) { c.Hold(job, std::move(done)); });
    loop_.After(random_.Between(absl::Seconds(1), absl::Seconds(40)),
                [this, job] { Insist([job](Coordinator& c, Done<Nothing> done) { c.Unhold(job, std::move(done)); }); });
    return;
  }
  network_.Call<Nothing>(
      "person", [job](Coordinator& c, Done<Nothing> done) { c.Retry(job, std::move(done)); },
      [this](absl::StatusOr<Nothing> answer) {
        figures_.retries_refused += absl::IsFailedPrecondition(answer.status());
      });
}

void World::Insist(std::function<void(Coordinator&, Done<Nothing>)> what) {
  ++open_wishes_;
  network_.Call<Nothing>("person", what, [this, what](absl::StatusOr<Nothing> answer) {
    if (absl::IsUnavailable(answer.status())) {
      loop_.After(absl::Milliseconds(random_.Between(100, 2000)), [this, what] { Insist(what); });
    }
    --open_wishes_;
  });
}

void World::MeddleWorker() {
  Agent& agent = *agents_[random_.Between(0, static_cast<int64_t>(agents_.size()) - 1)];
  const std::string name = agent.name();
  if (random_.Chance(400)) {
    Insist([name](Coordinator& c, Done<Nothing> done) { c.Cordon(name, std::move(done)); });
  } else {
    Insist([name](Coordinator& c, Done<Nothing> done) { c.Drain(name, std::move(done)); });
  }
  loop_.After(random_.Between(absl::Seconds(2), absl::Seconds(30)), [this, name, &agent] {
    Insist([name](Coordinator& c, Done<Nothing> done) { c.Uncordon(name, std::move(done)); });
    Restart(agent, absl::ZeroDuration(), absl::Seconds(5));
  });
}

// Late copies of what was asked may still arrive for a while, so it is asked again until it holds.
void World::TakeAllBack() {
  if (open_wishes_ == 0 && coordinator_.up()) {
    for (const auto& [name, job] : disk_.jobs) {
      if (!job.held || core::IsFinal(job.state)) continue;
      Insist([job = name](Coordinator& c, Done<Nothing> done) { c.Unhold(job, std::move(done)); });
    }
    for (const auto& [name, worker] : disk_.workers) {
      if (!worker.cordoned || name == last_drained_) continue;
      Insist([worker = name](Coordinator& c, Done<Nothing> done) { c.Uncordon(worker, std::move(done)); });
    }
  }
  for (const auto& agent : agents_) {
    if (!agent->up() && agent->name() != last_drained_) agent->Start();
  }
  loop_.After(absl::Seconds(3), [this] { TakeAllBack(); });
}

void World::Restart(Agent& agent, absl::Duration least, absl::Duration most) {
  loop_.After(random_.Between(least, most), [&agent] {
    if (!agent.up()) agent.Start();
  });
}

void World::Fault() {
  if (only_sleep_) return FaultOfTime();
  const int64_t kind = random_.Between(0, 11);
  if (kind <= 4) return FaultOfAgent(static_cast<int>(kind));
  switch (kind) {
    case 5:
    case 6:
      if (!coordinator_.up()) return;
      coordinator_.Crash();
      loop_.After(random_.Between(absl::Milliseconds(50), absl::Seconds(12)), [this] { coordinator_.Start(); });
      return;
    case 7:
      coordinator_.FailNextStore();
      return;
    case 8:
    case 9:
      if (trainers_.KillAny(random_.Next()) && trace_) std::printf("          a trainer is killed\n");
      return;
    default:
      return FaultOfTime();
  }
}

void World::FaultOfAgent(int kind) {
  Agent& agent = *agents_[random_.Between(0, static_cast<int64_t>(agents_.size()) - 1)];
  if (kind == 4) {
    network_.cut_off.insert(agent.name());
    loop_.After(random_.Between(absl::Seconds(1), absl::Seconds(12)),
                [this, &agent] { network_.cut_off.erase(agent.name()); });
    return;
  }
  if (!agent.up()) return;
  if (kind == 0) agent.Crash();
  if (kind == 1) agent.CrashMachine();
  if (kind == 2) agent.LoseMachine();
  if (kind == 3) {
    agent.ShutDown();
    for (int i = 1; i <= 60; ++i) Restart(agent, absl::Seconds(2 * i), absl::Seconds(2 * i + 1));
    return;
  }
  Restart(agent, absl::Milliseconds(100), absl::Seconds(10));
}

// The machines sleep, for up to ten minutes, or somebody sets the clock.
void World::FaultOfTime() {
  const int64_t kind = random_.Between(0, 3);
  absl::Duration by = random_.Between(absl::Seconds(6), absl::Minutes(10));
  if (kind == 0) by = random_.Between(absl::Milliseconds(10), absl::Seconds(6));
  if (kind == 1 && !only_sleep_) by = -random_.Between(absl::Milliseconds(10), absl::Minutes(1));
  if (trace_) std::printf("          the clock jumps by %s\n", absl::FormatDuration(by).c_str());
  if (absl::AbsDuration(by) <= kLease / 2) ledger_.SmallJump(by);
  loop_.Jump(by);
}

bool World::Drained() const {
  if (open_submits_ > 0 || open_wishes_ > 0 || !coordinator_.up()) return false;
  if (const auto drained = disk_.workers.find(last_drained_); drained != disk_.workers.end() &&
                                                              drained->second.draining &&
                                                              drained->second.state == core::WorkerState::kReady) {
    return false;
  }
  return std::all_of(disk_.jobs.begin(), disk_.jobs.end(),
                     [](const auto& entry) { return core::IsFinal(entry.second.state); });
}

void World::Drain() {
  if (trace_) std::printf("          the faults are over\n");
  network_.lost = network_.doubled = network_.slow = 0;
  if (!only_sleep_) {
    last_drained_ = agents_.front()->name();
    Insist([name = last_drained_](Coordinator& c, Done<Nothing> done) { c.Drain(name, std::move(done)); });
    TakeAllBack();
  }
  const absl::Duration deadline = loop_.awake() + absl::Minutes(30);
  while (!Drained() && loop_.awake() < deadline) {
    for (int i = 0; i < 200; ++i) loop_.RunOne();
  }
  ledger_.CheckDisk(disk_);
  ledger_.CheckDrained(disk_);
}

}  // namespace strata::sim
