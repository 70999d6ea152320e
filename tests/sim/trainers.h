// Trainers: one process a rank, together a gang that steps when all its ranks are there. They write to spools, which
// outlive both them and the agent.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/coordinator.h"

namespace strata::sim {

// One rank's process and the spool it leaves on its machine's disk.
struct Rank {
  std::string machine;
  int32_t slot = 0;
  bool alive = false;
  std::vector<SpoolEvent> spool;
  int64_t acknowledged = 0;  // as far as the agent knows
};

class Trainers {
 public:
  Trainers(Loop& loop, Random& random, Coordinator::Trace trace)
      : loop_(loop), random_(random), trace_(std::move(trace)) {}

  // Starts the process of a rank. Throws a Violation if it runs already, or if something else runs on its slot.
  std::shared_ptr<Rank> Start(const std::string& machine, const core::RankPlace& place, const Assignment& assignment);
  void Rendezvous(const AttemptKey& key);  // the other ranks learn where rank 0 listens
  // SIGTERM: checkpoint, `stopped`, end. A gang that is complete ends as one, at its next update.
  void Terminate(const AttemptKey& key, const std::shared_ptr<Rank>& rank);
  void Kill(const std::shared_ptr<Rank>& rank);  // SIGKILL
  // Kills one that runs, by `choice`; false if none does.
  bool KillAny(uint64_t choice);

 private:
  struct Gang {
    Facts facts;
    int32_t world_size = 1, update = 0, resumed_from = -1;
    bool rendezvous = false, lost = false, stopping = false;
    std::map<int32_t, std::shared_ptr<Rank>> ranks;
  };

  static bool Together(const Gang& gang);  // all its ranks live and have met
  void Up(const AttemptKey& key, int32_t rank);
  void Step(const AttemptKey& key);
  void Update(Gang& gang);
  void EndAll(Gang& gang, const SpoolEvent& event);
  static void End(const std::shared_ptr<Rank>& rank, const SpoolEvent& event);

  Loop& loop_;
  Random& random_;
  Coordinator::Trace trace_;
  std::map<AttemptKey, Gang> gangs_;
  std::map<std::pair<std::string, int32_t>, std::weak_ptr<Rank>> slots_;
};

}  // namespace strata::sim
