// The agent: holds a session with the coordinator, and brings what runs on this machine in line with what should.
//
// It never ends a trainer because the coordinator is away or because the clock jumped: only the coordinator's word
// (stale, not assigned, stop) or a signal to the agent does that.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "worker/agent/attempt.h"

namespace strata::agent {

struct AgentOptions {
  std::vector<Slot> slots;
  TrainerOptions trainer;
  absl::Duration patience = absl::Seconds(60);   // for a trainer that is asked to stop
  absl::Duration grace = absl::Seconds(2);       // for the ranks whose peer has failed, before they are killed
  absl::Duration farewell = absl::Seconds(120);  // for all to be stopped, uploaded and acknowledged after Leave
  int64_t memory_per_slot = 0;                   // bytes that each trainer may hold; 0: no limit
  std::function<std::string(const std::string& uuid, absl::Time since)> gpu_trouble;  // of a slot's GPU; may be empty
};

class Agent {
 public:
  Agent(AgentOptions options, Coordinator& coordinator, const StateDir& state, Stats& stats);
  ~Agent();  // trainers that run go on

  // Adopts what an earlier agent has left, registers, and serves until Leave has been followed or the coordinator
  // refuses this worker for good (ALREADY_EXISTS, INVALID_ARGUMENT, FAILED_PRECONDITION).
  absl::Status Run();

  // Stops gracefully: trainers write checkpoints, everything is uploaded and acknowledged, the worker signs off.
  // Returns at once. Thread-safe.
  void Leave();

  // What this worker offers has changed. Returns at once. Thread-safe.
  void RegisterAgain();

 private:
  absl::Status Register();
  // Until the session is stale (OK) or the agent has left (CANCELLED).
  absl::Status Serve();
  void Apply(const Assignments& assignments);
  void Follow() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);  // brings attempts_ in line with assigned_
  void Reap();                                          // thread: lets go of attempts that have ended
  bool Farewell();                                      // true: all is done, or there is no more time
  void Adopt();
  std::vector<AttemptId> Known() const;
  // Known ones, and those assigned that wait for an earlier attempt of their job to be gone, or for the agent to leave:
  // the coordinator takes what is missing here for lost.
  std::vector<AttemptId> Running() const;
  void WaitFor(absl::Duration time);

  const AgentOptions options_;
  Coordinator& coordinator_;
  const StateDir& state_;
  Stats& stats_;
  DatasetCache datasets_;
  AttemptContext context_;
  absl::Duration lease_ = absl::Seconds(6);

  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::map<AttemptId, std::unique_ptr<Attempt>> attempts_ ABSL_GUARDED_BY(mutex_);
  std::set<AttemptId> over_ ABSL_GUARDED_BY(mutex_);  // never started again, though an older answer may still list them
  std::optional<std::vector<Assignment>> assigned_ ABSL_GUARDED_BY(mutex_);
  bool register_again_ ABSL_GUARDED_BY(mutex_) = false;
  bool some_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool drained_ ABSL_GUARDED_BY(mutex_) = false;  // leave once nothing runs
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool shut_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Time> farewell_began_ ABSL_GUARDED_BY(mutex_);
  std::thread reaper_;
};

}  // namespace strata::agent
