// One seed's world: a coordinator with its disk, agents on their machines, people who submit, cancel and retry, and
// faults.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/agent.h"

namespace strata::sim {

inline constexpr int kLeastAgents = 3, kLeastJobs = 20, kLeastFaults = 50;

// What a seed held.
struct Figures {
  int64_t agents = 0, jobs = 0, faults = 0, message_faults = 0, steps = 0, attempts = 0, measurements = 0,
          retries_refused = 0;
  std::map<std::string, int64_t> ends;  // jobs by final state
};

class World {
 public:
  World(uint64_t seed, bool trace);
  // Lives through the seed. Throws a Violation.
  Figures Run();

 private:
  void Submit(const std::string& request, std::vector<JobDraft> drafts);
  std::vector<JobDraft> Draft();
  void Meddle();  // a person cancels or retries something
  void Fault();
  void FaultOfAgent(int kind);
  void FaultOfTime();
  void Drain();
  bool Drained() const;
  void Restart(Agent& agent, absl::Duration least, absl::Duration most);

  const bool trace_;
  const bool only_sleep_;  // every tenth seed: nothing goes wrong but that the machines sleep
  Loop loop_;
  Random random_;
  Disk disk_;
  Ledger ledger_;
  Coordinator coordinator_;
  Network network_;
  Trainers trainers_;
  std::vector<std::unique_ptr<Agent>> agents_;
  std::vector<std::string> jobs_;  // acknowledged ones
  int open_submits_ = 0;
  Figures figures_;
};

}  // namespace strata::sim
