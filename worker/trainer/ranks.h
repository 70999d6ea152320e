// The ranks of one attempt, as one of them sees it: which one it is, how they meet, and what they tell each other
// (docs/DATA_PARALLEL.md).
#pragma once

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/tasks/task.h"
#include "worker/trainer/collective_log.h"
#include "worker/trainer/control.h"
#include "worker/trainer/events.h"

namespace c10d {
class ProcessGroup;
class Store;
}  // namespace c10d

namespace strata::trainer {

struct RanksOptions {
  int64_t rank = 0, size = 1;
  std::string address;      // of this machine, where rank 0's store and everyone's collectives listen
  std::string collectives;  // file of the CollectiveLog, or empty
  bool group_of_one = false;  // a rank alone, too, makes a group and calls its collectives
  std::chrono::milliseconds meeting_timeout = std::chrono::seconds(60);  // to reach rank 0, once it is told where
  // Until all ranks have started: a machine may fetch data first. An agent ends what has not begun after 10 minutes.
  std::chrono::milliseconds arrival_timeout = std::chrono::minutes(9);
  std::chrono::milliseconds collective_timeout = std::chrono::minutes(30);  // an agent sees a stall long before
};

// All ranks call the same collectives in the same order. Each is named in the log before it begins; of a rank alone it
// is nothing. A collective that fails is a Failure (rank_lost) that says which one. Not thread-safe.
class Ranks {
 public:
  explicit Ranks(const RanksOptions& options = {});
  ~Ranks();
  Ranks(const Ranks&) = delete;
  Ranks& operator=(const Ranks&) = delete;

  int64_t rank() const { return options_.rank; }
  int64_t size() const { return options_.size; }
  bool alone() const { return size() == 1 && !options_.group_of_one; }
  // Rank 0: it reads and writes checkpoints, and tells what is measured.
  bool first() const { return rank() == 0; }

  // Meets the others: rank 0 listens, emits `rendezvous` and waits; the others wait for `rendezvous` on their control
  // socket. False where a stop was asked for meanwhile. Failure (rendezvous_failed): an address that cannot be bound or
  // reached, or a rank that does not come, in time. Once, before any collective.
  bool Meet(const c10::Device& device, EventLog* events, const Control& control);

  // Sums `tensor` over all ranks, element by element, in place; every rank gets the same bits. A CPU tensor goes over
  // Gloo, a CUDA tensor over NCCL.
  void Sum(const std::string& name, at::Tensor tensor);
  // Rank 0's values, in place.
  void FromFirst(const std::string& name, at::Tensor tensor);
  std::string FromFirst(const std::string& name, const std::string& bytes);
  // Rank 0's weights, in place.
  void FromFirst(const std::string& name, const std::vector<model::NamedParameter>& parameters);
  // What each rank gives, by rank, on all of them.
  std::vector<std::string> Gather(const std::string& name, const std::string& bytes);

  // For collectives that are begun elsewhere: the group (null alone), the name of the next one, and what its failure
  // means.
  c10d::ProcessGroup* group() const;
  void Enter(const std::string& name) { log_.Enter(name); }
  [[noreturn]] void Lost(const std::string& why) const;

 private:
  bool AwaitMeeting(const Control& control, Rendezvous* where) const;
  // Whether all have reached the store; false where a stop was asked for.
  bool AwaitAll(c10d::Store& store, const Control& control) const;
  void Collective(const std::string& name, const std::function<void(c10d::ProcessGroup&)>& run);

  struct Group;
  RanksOptions options_;
  CollectiveLog log_;
  std::unique_ptr<Group> group_;
};

}  // namespace strata::trainer
