#include "tests/sim/world.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "server/core/job.h"

namespace strata::sim {
namespace {

constexpr absl::Duration kLease = absl::Seconds(6);

Coordinator::Trace Tracer(const Loop& loop, bool on) {
  if (!on) return [](const std::string&) {};
  return [&loop](const std::string& line) {
    std::printf("%9.3f %s\n", absl::ToDoubleSeconds(loop.awake()), line.c_str());
  };
}

core::ControllerOptions Options() { return {.lease_duration = kLease}; }

}  // namespace

World::World(uint64_t seed, bool trace)
    : trace_(trace),
      only_sleep_(seed % 10 == 0),
      random_(seed),
      ledger_(loop_, kLease),
      coordinator_(Options(), loop_, random_, disk_, ledger_, Tracer(loop_, trace)),
      network_(loop_, random_, coordinator_),
      trainers_(loop_, random_, Tracer(loop_, trace)) {
  const int64_t agents = random_.Between(kLeastAgents, 5);
  for (int64_t i = 1; i <= agents; ++i) {
    agents_.push_back(std::make_unique<Agent>(absl::StrCat("w", i), static_cast<int32_t>(random_.Between(1, 3)), loop_,
                                              random_, network_, trainers_, Tracer(loop_, trace)));
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
    if (!only_sleep_ && i % 5 == 0) loop_.After(at + absl::Milliseconds(random_.Between(0, 900)), [this] { Meddle(); });
  }
  bool over = false;
  loop_.After(at + absl::Seconds(20), [&over] { over = true; });
  while (!over) loop_.RunOne();
  Drain();
  figures_.faults = faults;
  figures_.message_faults = network_.faults;
  figures_.steps = coordinator_.steps();
  figures_.jobs = static_cast<int64_t>(disk_.jobs.size());
  figures_.attempts = static_cast<int64_t>(disk_.attempts.size());
  figures_.measurements = static_cast<int64_t>(disk_.measurements.size());
  for (const auto& [name, job] : disk_.jobs) ++figures_.ends[core::Name(job.state)];
  if (figures_.jobs < kLeastJobs) throw Violation(absl::StrCat("only ", figures_.jobs, " jobs in this seed"));
  return figures_;
}

// A trial: a training and its evaluations. Some diverge, some run out of memory, some are gangs.
std::vector<JobDraft> World::Draft() {
  std::vector<JobDraft> drafts;
  for (int64_t trial = random_.Between(1, 4); trial > 0; --trial) {
    JobDraft train{.ranks = random_.Chance(300) ? static_cast<int32_t>(random_.Between(2, 3)) : 1,
                   .max_attempts = static_cast<int32_t>(random_.Between(2, 8)),
                   .facts = {.updates = static_cast<int32_t>(random_.Between(3, 60))}};
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
  if (random_.Chance(400)) {
    network_.Call<Nothing>(
        "person", [job](Coordinator& c, Done<Nothing> done) { c.Cancel(job, std::move(done)); },
        [](absl::StatusOr<Nothing>) {});
    return;
  }
  network_.Call<Nothing>(
      "person", [job](Coordinator& c, Done<Nothing> done) { c.Retry(job, std::move(done)); },
      [this](absl::StatusOr<Nothing> answer) {
        figures_.retries_refused += absl::IsFailedPrecondition(answer.status());
      });
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
  if (open_submits_ > 0 || !coordinator_.up()) return false;
  for (const auto& [name, job] : disk_.jobs) {
    if (!core::IsFinal(job.state)) return false;
  }
  return true;
}

void World::Drain() {
  if (trace_) std::printf("          the faults are over\n");
  network_.lost = network_.doubled = network_.slow = 0;
  const absl::Duration deadline = loop_.awake() + absl::Minutes(30);
  while (!Drained() && loop_.awake() < deadline) {
    for (int i = 0; i < 200; ++i) loop_.RunOne();
  }
  ledger_.CheckDisk(disk_);
  ledger_.CheckDrained(disk_);
}

}  // namespace strata::sim
