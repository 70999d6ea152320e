// What the coordinator wants to run on this worker, and how it ended here: plain values, those of
// proto/strata/v1/worker_service.proto.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace strata::agent {

struct AttemptId {
  std::string job;  // experiments/{experiment}/trials/{trial}/jobs/{job}
  int32_t attempt = 0;
  auto operator<=>(const AttemptId&) const = default;
};

enum class JobKind { kTrain, kEvaluate, kProbe };

struct RankSlot {
  int32_t rank = 0;
  int32_t slot = 0;
  bool operator==(const RankSlot&) const = default;
};

// A stored checkpoint.
struct CheckpointRef {
  std::string artifact;
  std::string sha256;
  std::string file_name;
  bool operator==(const CheckpointRef&) const = default;
};

// The ranks of one attempt that should run here, or stop.
struct Assignment {
  AttemptId id;
  JobKind kind = JobKind::kTrain;
  std::vector<RankSlot> ranks;
  int32_t world_size = 1;
  std::string spec_json;
  std::string dataset;  // datasets/{dataset}
  std::string dataset_digest;
  bool stop = false;
  bool checkpoint = false;              // with stop: write a checkpoint first
  CheckpointRef checkpoint_from;        // to go on from, or to evaluate; artifact empty: none
  std::vector<CheckpointRef> averaged;  // EVALUATE of a mean: its weights, oldest first
  int32_t evaluation = 0;
  std::string rendezvous;  // host:port of rank 0, once known
};

struct Assignments {
  int64_t generation = 0;
  std::vector<Assignment> list;
  bool leave = false;  // this worker is drained: sign off and end once nothing runs
};

// The last collective that a rank has begun.
struct RankPosition {
  int32_t rank = 0;
  int64_t sequence = 0;  // from 1; 0: none yet
  std::string name;
};

// How an attempt ended here.
struct Completion {
  std::string outcome;  // succeeded, diverged, stopped, failed
  std::string cause;
  std::string message;
  std::vector<RankPosition> positions;  // of the ranks here, where the attempt has several
};

}  // namespace strata::agent
