// The coordinator's brain, as arithmetic on values: an event and the time go in, effects come out. The shell stores the
// effects in one transaction, and only then answers callers and wakes agents. No clock, no randomness, no I/O.
//
// Thread-compatible: the shell calls it under one mutex. If storing fails, the shell throws the controller away and
// builds a new one from the store.
#pragma once

#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/core/events.h"
#include "server/core/schedule.h"
#include "server/core/types.h"

namespace strata::core {

struct ControllerOptions {
  absl::Duration lease_duration = absl::Seconds(6);
  int32_t max_attempts = 5;
  absl::Duration first_backoff = absl::Seconds(1);  // doubles with each failure
  absl::Duration longest_backoff = absl::Minutes(1);
  // A step this long after the last tick, or this long before it, means that the clock jumped or the machine slept:
  // every lease is then good for one lease duration more. Ticks must come much more often. Zero: half a lease.
  absl::Duration jump = absl::ZeroDuration();
  // An attempt with fewer ranks than its job would like, that has run so long, is stopped to go on with more.
  absl::Duration grow_after = absl::Minutes(1);
  // So long, after a gang's end, its workers are waited for to tell where its ranks stood.
  absl::Duration tell_within = absl::Seconds(15);
  absl::Duration forget_workers_after = absl::Hours(24);  // LOST and GONE ones leave the list
};

// What must be stored before anything is released, and whom to wake afterwards.
struct Effects {
  std::vector<Job> jobs;          // rows that changed, whole
  std::vector<Attempt> attempts;  // likewise
  std::vector<Worker> workers;    // likewise; a mere renewal of leases is not stored and not listed
  std::vector<std::string> erased_workers;
  std::set<std::string> wake;  // workers whose assignments changed
  bool empty() const { return jobs.empty() && attempts.empty() && workers.empty() && erased_workers.empty(); }
};

// One attempt that should run, or be stopped, on a worker.
struct WorkerAssignment {
  std::string job;
  int32_t attempt = 0;
  std::vector<RankPlace> ranks;  // those on this worker
  int32_t world_size = 1;
  bool stop = false;        // end the processes, then complete the attempt
  bool checkpoint = false;  // with stop: write a checkpoint first
  std::string rendezvous;
  bool operator==(const WorkerAssignment&) const = default;
};

class Controller {
 public:
  // `now` starts the grace period: every lease in `state` is good for one lease duration from now, at least.
  Controller(ControllerOptions options, State state, absl::Time now);

  // What follows from `event`. Errors change nothing:
  // FailedPrecondition "stale_attempt ..." or "stale_session ..." or a state that does not allow it, naming it;
  // NotFound; AlreadyExists.
  absl::StatusOr<Effects> Step(const Event& event, absl::Time now);

  // Does this attempt live? FailedPrecondition "stale_attempt ..." or NotFound otherwise. Fences every write.
  absl::Status CheckAttempt(const std::string& job, int32_t attempt) const;
  // Does this session of this worker hold? FailedPrecondition "stale_session ...", NotFound.
  absl::Status CheckSession(const std::string& worker, const std::string& session) const;

  // All that should run on `worker`. `generation` rises whenever the answer changes.
  std::vector<WorkerAssignment> Assignments(const std::string& worker) const;
  // Is the worker drained: should its agent sign off and end?
  bool Leaves(const std::string& worker) const;
  int64_t Generation(const std::string& worker) const;

  // For a job that is QUEUED: place among the eligible ones from 1 (0: not eligible), and why it waits, as a sentence.
  struct Waiting {
    int32_t position = 0;
    std::string reason;
  };
  Waiting WhyWaiting(const std::string& job, absl::Time now) const;

  // FailedPrecondition "INFEASIBLE: ..." where even the fewest ranks that the job may have are more than all connected
  // workers have slots: which field, what there is, the remedy. OK while no worker is connected.
  absl::Status CheckFeasible(const Job& job) const;

  // Jobs in final states leave memory: those of experiments that are deleted, or done. Nothing follows for them.
  void Forget(const std::vector<std::string>& jobs);

  // Brings back, as stored, what Forget let go: before a retry of a job of an experiment that was done.
  void Recall(const std::vector<Job>& jobs, const std::vector<Attempt>& attempts);

  const State& state() const { return state_; }

 private:
  friend class ControllerRules;
  using AttemptKey = std::pair<std::string, int32_t>;

  // What is kept in mind of a worker but not stored.
  struct Desk {
    int64_t generation = 0;
    std::map<AttemptKey, int64_t>
        assigned;  // live attempts with places there, with the generation that first held them
    absl::Time barred_until = absl::InfinitePast();  // it seems to shut down: nothing new until then
  };

  // Higher priority first, then first come.
  using QueueKey = std::tuple<int32_t, int64_t, std::string>;
  static QueueKey KeyOf(const Job& job);

  Attempt* Find(const AttemptKey& key);               // the last of its job, or a gang that is still waited for
  void Index(const Job& job);                         // enters it into queue_ and dependents_
  void Open(const Attempt& attempt, absl::Time now);  // enters a live one at its workers' desks
  int64_t NextGeneration(Desk* desk, absl::Time now) const;
  Snapshot WorkersView(absl::Time now) const;  // the rooms only
  Snapshot View(absl::Time now) const;         // and the head of the queue, as far as there is room

  ControllerOptions options_;
  State state_;
  std::map<std::string, Desk> desks_;
  std::set<QueueKey> queue_;                      // QUEUED jobs
  std::map<AttemptKey, absl::Time> small_since_;  // running ones that could have more ranks; since when they run
  std::map<AttemptKey, absl::Time> awaited_;      // gangs that have ended, until when their workers are waited for
  std::map<AttemptKey, Attempt> ended_gangs_;     // those of them whose job is at a later attempt
  std::map<std::string, std::set<std::string>> dependents_;
  absl::Time last_tick_;
  int64_t next_order_ = 1;
};

}  // namespace strata::core
