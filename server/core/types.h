// The coordinator's values: what is scheduled, where, and how it stands. Plain data, compared and copied freely; no
// gRPC, no SQLite, no generated types. Names are resource names ("experiments/e-1/trials/t1/jobs/train", "workers/w1"
// is just "w1").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace strata::core {

enum class JobState { kQueued, kPending, kRunning, kCancelling, kSucceeded, kFailed, kCancelled, kDiverged };
enum class JobKind { kTrain, kEvaluate, kProbe };

bool IsFinal(JobState state);
const char* Name(JobState state);  // "QUEUED", ...
const char* Name(JobKind kind);    // "TRAIN", ...
std::optional<JobState> JobStateFromName(const std::string& name);
std::optional<JobKind> JobKindFromName(const std::string& name);

// A schedulable unit. `attempts` counts those begun; the live one, if any, is number `attempts`.
struct Job {
  std::string name;
  std::string trial;
  JobKind kind = JobKind::kTrain;
  JobState state = JobState::kQueued;
  std::string cause;
  std::string message;
  std::string upstream;  // job that must have succeeded first; empty: none
  bool accepts_diverged =
      false;             // an upstream that DIVERGED after training to its end will do (on_divergence: continue)
  int64_t order = 0;     // first come, first served: rises with submission
  int32_t priority = 0;  // higher ones come first
  bool held = false;     // by a person: no attempt begins
  int32_t ranks = 1;
  int32_t min_ranks = 0;     // fewest that an attempt may have; 0: as `ranks`
  int32_t global_batch = 0;  // batches of one update, over all ranks; what an elastic attempt's ranks must divide
  int32_t attempts = 0;
  int32_t failures = 0;  // counted towards max_attempts; lost workers count, cancellations do not
  int32_t max_attempts = 5;
  absl::Time not_before = absl::InfinitePast();  // back-off
  absl::Time create_time;
  absl::Time end_time = absl::InfiniteFuture();
  int32_t checkpoint_update = -1;  // newest acknowledged resumable checkpoint; -1: none
  bool operator==(const Job&) const = default;
};

// Where a rank runs. Stored whole: `up` and `done` must survive a restart of the coordinator.
struct RankPlace {
  int32_t rank = 0;
  std::string worker;
  int32_t slot = 0;
  bool up = false;    // its trainer has reported that it started
  bool done = false;  // its worker has completed its part of the attempt; the slot is free again
  // The last collective that it had begun when it ended: from 1; 0: none; -1: it has not been told.
  int64_t sequence = -1;
  std::string collective;
  bool failed = false;  // the attempt failed because of this rank, as far as is known
  bool operator==(const RankPlace&) const = default;
};

// The n-th execution of a job. Its leases are its places that are not done, while it lives.
struct Attempt {
  std::string job;
  int32_t number = 0;
  std::vector<RankPlace> places;
  absl::Time start_time;
  absl::Time end_time = absl::InfiniteFuture();  // infinite while it lives
  std::string outcome;                           // "", succeeded, diverged, failed, stopped, cancelled, fenced
  std::string cause;
  std::string message;
  std::string rendezvous;  // host:port of rank 0, once known
  int32_t ranks_up = 0;
  int32_t resumed_from = -1;  // update of the checkpoint that it goes on from; -1: from the beginning
  std::string stop_reason;    // a sentence: why its ranks are to stop with a checkpoint; empty: they go on
  bool live() const { return outcome.empty(); }
  bool operator==(const Attempt&) const = default;
};

struct Slot {
  int32_t index = 0;
  std::string device;  // cpu (or nothing), else the GPU's model
  std::string cores;
  std::string uuid;          // of the GPU
  int64_t memory_bytes = 0;  // of the GPU
  bool gpu() const { return !device.empty() && device != "cpu"; }
  bool operator==(const Slot&) const = default;
};

enum class WorkerState { kReady, kLost, kGone };

struct Worker {
  std::string name;
  std::string uid;      // of the agent's state folder
  std::string session;  // of the last registration
  std::vector<Slot> slots;
  WorkerState state = WorkerState::kReady;
  absl::Time last_seen;
  absl::Time lease_end;  // leases on this worker last until then
  std::string version;
  std::string host;
  std::string advertise_address;
  std::string metrics_address;  // host:port of its /metrics; empty: none
  bool cordoned = false;        // no further attempt begins there
  bool draining = false;        // its attempts are being moved away; then it leaves
  bool operator==(const Worker&) const = default;
};

// All that the controller knows. Ordered maps: iteration is deterministic.
struct State {
  std::map<std::string, Job> jobs;
  std::map<std::string, Worker> workers;
  std::map<std::pair<std::string, int32_t>, Attempt> attempts;  // by job and number; live ones and the last of each job
};

}  // namespace strata::core
