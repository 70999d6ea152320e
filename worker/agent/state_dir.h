// The agent's state folder and what is written there. Survives the agent; one agent at a time holds it.
//
//   worker_uid                      random, made once
//   lock                            flock of the agent that runs
//   session                         its lease in seconds; the file's time is when the coordinator last answered
//   attempts/KEY/attempt.json       what runs: assignment, processes
//   attempts/KEY/spec.json, rank-R.spool, rank-R.log, rank-R.collectives, out/ (EVALUATE and PROBE)
//   jobs/KEY/out/                   --out of a TRAIN job: its checkpoints serve the next attempt
//   datasets/DIGEST/                see dataset_cache.h
//   weights/SHA256                  downloaded or just trained, for EVALUATE
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/file.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/process.h"

namespace strata::agent {

// One rank of a recorded attempt.
struct RankRecord {
  int32_t rank = 0;
  int32_t slot = 0;
  ProcessId process;   // pid 0: not started
  bool ended = false;  // its exit was seen
  ExitStatus exit;
  bool group_gone = false;  // not stored
};

struct AttemptRecord {
  Assignment assignment;
  std::vector<RankRecord> ranks;
  bool started() const;
};

// Paths are plain functions of names; only Open, Save, Load and Remove touch the disk. Thread-safe after Open.
class StateDir {
 public:
  // Makes the folder, takes its lock, reads or makes the uid.
  // FAILED_PRECONDITION: another agent holds it; the message names its process.
  static absl::StatusOr<StateDir> Open(const std::string& path);

  const std::string& path() const { return path_; }
  const std::string& worker_uid() const { return worker_uid_; }

  std::string AttemptFolder(const AttemptId& id) const;
  std::string JobFolder(const std::string& job) const;
  std::string OutFolder(const Assignment& assignment) const;
  std::string SpoolPath(const AttemptId& id, int32_t rank) const;
  std::string LogPath(const AttemptId& id, int32_t rank) const;
  std::string CollectivesPath(const AttemptId& id, int32_t rank) const;
  // Short enough for a socket address, wherever the state folder stands.
  std::string ControlPath(const AttemptId& id, int32_t rank) const;

  absl::Status Save(const AttemptRecord& record) const;
  // All records found. Folders without a readable one are removed: nothing was ever started from them.
  std::vector<AttemptRecord> Load() const;
  void Remove(const AttemptId& id) const;
  // A session with the coordinator has begun; it has answered, as it does several times a lease; the worker has signed
  // off.
  void NoteSession(absl::Duration lease) const;
  void NoteAnswer() const;
  void NoteEnd() const;
  // Whether the agent of this state folder is in touch with its coordinator: it has answered within the lease, or 10 s.
  // Else a sentence. For other processes: opens nothing.
  static absl::Status CheckSession(const std::string& path, absl::Time now);

  // Folders of training jobs that nothing has touched for `days` and that `keep` does not name.
  void RemoveOldJobs(int days, const std::vector<std::string>& keep) const;

 private:
  std::string path_;
  std::string worker_uid_;
  base::FileDescriptor lock_;
};

}  // namespace strata::agent
