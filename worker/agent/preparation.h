// What must be in place before an attempt's trainers start: dataset, checkpoint, spec.json; and their command lines.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/process.h"
#include "worker/agent/slots.h"
#include "worker/agent/state_dir.h"

namespace strata::agent {

struct Prepared {
  std::string dataset_folder;
  std::string out_folder;
  std::vector<std::string> weights;  // for EVALUATE: the file, or those whose mean is taken
};

// Why an attempt cannot start, as its completion says it.
struct PreparationFailure {
  std::string cause;  // dataset_missing, data_error, checkpoint_corrupt, disk_full, start_failed
  std::string message;
};

class Preparation {
 public:
  Preparation(Coordinator& coordinator, DatasetCache& datasets, const StateDir& state)
      : coordinator_(coordinator), datasets_(datasets), state_(state) {}

  // Blocks while files are fetched; `give_up` ends it with a failure that nobody will read.
  // A training resumes from the very checkpoint that the assignment names, or from none: older ones stay as a fallback,
  // newer local ones are removed, as measurements up to them may not have been acknowledged.
  // Checkpoint and weights are placed where rank 0 runs; the other ranks get them from it.
  bool Prepare(const Assignment& assignment, const std::function<bool()>& give_up, Prepared* prepared,
               PreparationFailure* failure);

 private:
  absl::Status PlaceCheckpoint(const Assignment& assignment, const std::string& folder,
                               const std::function<bool()>& give_up);
  absl::Status PlaceWeights(const Assignment& assignment, const std::function<bool()>& give_up,
                            std::vector<std::string>* weights);
  // The file's path in `folder`, where it stays while the attempt does: links it there from the kept ones, which others
  // may crowd out.
  absl::StatusOr<std::string> FetchWeights(const CheckpointRef& checkpoint, const std::string& folder,
                                           const std::function<bool()>& give_up);
  absl::Status FetchArtifact(const CheckpointRef& checkpoint, const std::string& path,
                             const std::function<bool()>& give_up);

  Coordinator& coordinator_;
  DatasetCache& datasets_;
  const StateDir& state_;
};

// What is the same for all trainers of this agent.
struct TrainerOptions {
  std::string program;
  std::string advertise = "127.0.0.1";    // address of this machine that the ranks on others reach
  std::vector<std::string> detokenisers;  // NAME=COMMAND, for an EVALUATE
};

// The command that runs `rank`.
Command TrainerCommand(const TrainerOptions& trainer, const StateDir& state, const Assignment& assignment,
                       const Prepared& prepared, int32_t rank, const Slot& slot);

// Keeps a just trained weights file for EVALUATE jobs on this worker, and removes the oldest ones beyond `most`.
void KeepWeights(const StateDir& state, const std::string& path, const std::string& sha256, size_t most = 32);

}  // namespace strata::agent
