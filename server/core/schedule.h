// What should run where. Pure: the same snapshot gives the same plan.
//
// The rules:
// - A job is eligible when it is QUEUED and not held, its upstream has SUCCEEDED (or DIVERGED, where it accepts that)
// and its back-off is over.
// - Higher priority first; first come, first served within one. Gangs are placed whole or not at all, so two
// half-placed gangs never wait for each other.
// - A gang that the cluster could hold, but that lacks free slots now, keeps its turn: no later job passes it, however
// small,
//   so a gang never starves. Slots stay free for it meanwhile; that is the price.
// - An elastic job takes the largest valid world size that has room; if not even the least has, it waits like a gang
//   of that many.
// - A job with more ranks than all workers have slots is passed by: nobody can say when it could run.
// - All ranks of an attempt are on GPUs or all on CPU slots: GPUs where they have room, else CPU slots.
// - A gang is packed on few workers, and a small job goes where least room is left, to keep large rooms for gangs.
// - The worker on which a job's last attempt failed is left out while others of the kind have room for all its ranks.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/core/types.h"

namespace strata::core {

// A job of the queue with the job that it waits for (null: none, or not known). Borrowed from the state.
struct QueuedJob {
  const Job* job = nullptr;
  const Job* upstream = nullptr;
  std::string avoid;  // worker that its last attempt failed on; taken only where the others have too little room
};

// A worker that takes work: its slots of one kind. One that has both kinds is there twice.
struct WorkerRoom {
  std::string name;
  int32_t slots = 0;
  std::vector<int32_t> free;  // slot indices without a lease, ascending
  bool gpu = false;
};

// Slots by kind. Those of one kind can hold a gang, never both together.
struct Room {
  int32_t cpu = 0, gpu = 0;
  int32_t& of(bool kind_is_gpu) { return kind_is_gpu ? gpu : cpu; }
  int32_t of(bool kind_is_gpu) const { return kind_is_gpu ? gpu : cpu; }
  int32_t most() const { return cpu > gpu ? cpu : gpu; }
  int32_t sum() const { return cpu + gpu; }
};

struct Snapshot {
  std::vector<QueuedJob> queue;  // in their order
  std::vector<WorkerRoom> workers;
};

struct Placement {
  std::string job;
  std::vector<RankPlace> places;  // by rank
  bool operator==(const Placement&) const = default;
};

struct Plan {
  std::vector<Placement> placements;
  bool operator==(const Plan&) const = default;
};

// May an attempt of this job have `ranks` ranks? The global batch stays, so they must divide it.
bool ValidRanks(const Job& job, int32_t ranks);
// Fewest and most that an attempt may have within `room` slots; 0: none fits.
int32_t LeastRanks(const Job& job);
int32_t MostRanks(const Job& job, int32_t room);

// Will an upstream in this state let a job with this `accepts_diverged` run?
bool Satisfies(const Job& upstream, const Job& job);

Room FreeSlots(const Snapshot& snapshot);
Room AllSlots(const Snapshot& snapshot);

// May this job start at `now`, room apart?
bool Eligible(const QueuedJob& queued, absl::Time now);

// O((jobs + workers) log workers), plus the ranks placed.
Plan Schedule(const Snapshot& snapshot, absl::Time now);

}  // namespace strata::core
