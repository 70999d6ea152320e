// One seed's world: a coordinator with its disk, agents on their machines, people who submit, cancel, retry, hold,
// release, cordon and drain, and faults.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/agent.h"

namespace strata::sim {

inline constexpr int kLeastAgents = 5, kLeastJobs = 50, kLeastFaults = 100;

// What a seed held.
struct Figures {
  int64_t agents = 0, jobs = 0, faults = 0, message_faults = 0, steps = 0, attempts = 0, measurements = 0,
          retries_refused = 0, gangs = 0, resized = 0, drained = 0, infeasible = 0;
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
  void Meddle();        // a person cancels, retries, holds or releases something
  void MeddleWorker();  // a person cordons or drains a worker, and after a while takes it back
  // Asks for it until it is answered with something else than Unavailable.
  void Insist(std::function<void(Coordinator&, Done<Nothing>)> what);
  void TakeAllBack();  // the faults are over: nothing stays held or cordoned, save one worker that is drained
  void Count();
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
  int open_submits_ = 0, open_wishes_ = 0;
  std::string last_drained_;  // it must have left in the end
  Figures figures_;
};

}  // namespace strata::sim
