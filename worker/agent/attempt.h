// One attempt on this worker, from its assignment to its clean-up, on a thread of its own: prepares, starts the
// trainers, relays their spools and logs, uploads what they leave, says how it ended. What to do when is life.h's; this
// does it.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/life.h"
#include "worker/agent/log_relay.h"
#include "worker/agent/preparation.h"
#include "worker/agent/slots.h"
#include "worker/agent/spool.h"
#include "worker/agent/stall.h"
#include "worker/agent/state_dir.h"
#include "worker/agent/stats.h"
#include "worker/agent/uploader.h"

namespace strata::agent {

// What attempts share. Outlives them.
struct AttemptContext {
  Coordinator& coordinator;
  const StateDir& state;
  DatasetCache& datasets;
  Stats& stats;
  std::vector<Slot> slots;
  TrainerOptions trainer;
  absl::Duration patience = absl::Seconds(60);  // to write a checkpoint and end
  absl::Duration grace = absl::Seconds(2);      // to end after a peer has failed
  int64_t memory_per_slot = 0;                  // bytes that a trainer may hold; 0: as many as there are
  std::function<std::string(const std::string& uuid, absl::Time since)> gpu_trouble;  // sentences; may be empty
  std::function<void()> register_again;  // the coordinator does not know the session, or the cursors differ
  std::function<void()> ended;           // an attempt's thread is about to end
};

// All public functions are thread-safe.
class Attempt {
 public:
  // `record` has processes if they were started before this agent: then they are adopted.
  Attempt(const AttemptContext& context, AttemptRecord record, absl::Time assigned);
  ~Attempt();  // waits for the thread; trainers that run go on

  void Start();
  // The coordinator's newest word: stop, rendezvous.
  void Update(const Assignment& assignment);
  // Never weakens. kAbandon kills the processes before it returns.
  void Ask(Wish wish);
  void SetCursor(int32_t rank, int64_t acknowledged);
  // Ends the thread soon, and leaves trainers and files as they are.
  void Leave();

  const AttemptId& id() const { return id_; }
  bool ended() const;  // the thread has nothing more to do
  int ranks() const { return static_cast<int>(record_.assignment.ranks.size()); }

 private:
  struct Rank {
    int32_t rank = 0;
    std::unique_ptr<Spool> spool;
    bool judged = false;       // its end, if bad, has been looked at
    int64_t told_spooled = 0;  // of its spool, in stats
    std::string told_rendezvous;
  };

  void Run();
  void Prepare();
  void StartTrainers();
  absl::Status StartRank(size_t index);
  Sight Look();
  void LookAtProcesses(bool* gone);
  void LookForFailures();
  bool LookForStall(absl::Duration elapsed);
  bool LookAtMemory();  // true: a rank holds more than its slot has
  void NoteSuspended() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RelayEvents();  // true: all there was is acknowledged
  bool SendBatches(Rank& rank);
  void FollowUp(const Rank& rank);
  void PassRendezvous();
  void Act(Action action);
  void SignalAll(int signal);
  void Complete();
  Completion Verdict();
  Completion FencedVerdict();
  // With where the ranks stood, and what their GPUs have told.
  Completion Explained(Completion completion) const;
  void TellEnd();  // how a part of a fenced attempt of several ranks ended
  std::vector<RankPosition> Positions() const;
  void CleanUp();
  RankEnd EndOf(size_t index);
  // Processes that the kernel has killed for want of memory in our cgroup; 0 where it does not say.
  static int64_t KernelOomKills();
  void NoteTrouble(const absl::Status& status);
  Wish wish() const;

  const AttemptContext& context_;
  const AttemptId id_;
  const absl::Time assigned_;
  Preparation preparation_;
  Life life_;
  StallWatch stall_;

  mutable base::Mutex mutex_;
  base::CondVar wake_;
  AttemptRecord record_;  // `ranks` is written under mutex_ by the thread, and read by Ask
  Wish wish_ ABSL_GUARDED_BY(mutex_) = Wish::kRun;
  std::string rendezvous_ ABSL_GUARDED_BY(mutex_);
  std::set<int32_t> suspended_ ABSL_GUARDED_BY(mutex_);    // ranks that a signal held when they were ended
  std::set<int32_t> dead_before_ ABSL_GUARDED_BY(mutex_);  // ranks that had ended when it was abandoned
  std::map<int32_t, int64_t> cursors_ ABSL_GUARDED_BY(mutex_);
  bool leave_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;

  // Only the thread's.
  std::vector<Rank> ranks_;
  Prepared prepared_;
  bool is_prepared_ = false;
  std::optional<PreparationFailure> failure_;
  std::string broken_;           // events cannot be relayed: why
  std::string stalled_;          // why its ranks were killed as hanging
  std::string too_much_memory_;  // why they were killed: which holds more than its slot has
  int32_t first_failed_ = -1;
  bool failed_itself_ = false;  // that rank, not a peer of it
  int64_t oom_kills_before_ = 0;
  bool finishing_uploads_ = false;
  bool completion_accepted_ = false;
  bool told_ = false;
  std::optional<std::chrono::steady_clock::time_point> tell_until_;
  std::map<std::string, ArtifactFile> weights_;  // best, final and epochs', by file name
  std::chrono::steady_clock::time_point retry_at_, last_log_;
  int64_t pause_ms_ = 0;
  int log_refusals_ = 0;
  std::unique_ptr<Uploader> uploader_;
  std::unique_ptr<LogRelay> log_;
  std::optional<Completion> completion_;
  std::thread thread_;
};

}  // namespace strata::agent
