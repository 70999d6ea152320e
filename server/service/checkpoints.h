// Which checkpoints of a training are kept, and which one an attempt goes on from. A resumable checkpoint counts once
// its file is here whole and the trainer's event of it is stored: the events before it, with all that was measured up
// to it, are stored then too, so nothing is lost by going on from it.
//
// Kept: the two newest resumable ones while a training goes on, and the last one for good where it came to its end, so
// that it can be extended; of epochs' weights the last train.keep_epoch_checkpoints; final and best ones for good.
// Thread-safe.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/service/coordinator.h"
#include "server/service/data_folder.h"

namespace strata::service {

class Checkpoints {
 public:
  static constexpr size_t kResumableKept = 2;

  Checkpoints(Coordinator& coordinator, const DataFolder& folder) : coordinator_(coordinator), folder_(folder) {}

  // Tells the controller of the checkpoint if both its file and its event are stored. Call after storing either.
  absl::Status Confirm(const std::string& job, int32_t attempt, const std::string& sha256);
  // What an attempt of this job starts from: the confirmed checkpoint of a TRAIN job, the weights that an EVALUATE job
  // scores. Nullopt: nothing.
  absl::StatusOr<std::optional<store::Artifact>> StartOf(const core::Job& job, const std::string& evaluated_weights);
  // The weights whose mean an EVALUATE job scores, oldest first: those of the last `count` epochs, or all there are.
  absl::StatusOr<std::vector<store::Artifact>> EpochsOf(const core::Job& job, int count);
  // What a job goes on from after `attempt` found its checkpoint damaged: the newest that it made itself, the newest
  // intact one before the one that it began with, or the beginning (-1). Nullopt: it began with none and made none.
  absl::StatusOr<std::optional<int32_t>> AfterDamage(const std::string& job, int32_t attempt);
  // Deletes what is not kept.
  void Prune(const core::Job& job);

 private:
  // The newest resumable checkpoint of `job` before `update` whose file is intact; -1: none. Deletes those from
  // `update` on, and in between, that are damaged. Reads the files whole.
  absl::StatusOr<int32_t> IntactBefore(const std::string& job, int32_t update);
  // Resumable checkpoints that are kept of this job now.
  size_t ResumableKept(const core::Job& job, const store::Trial& trial) const;
  absl::Status Delete(const std::vector<store::Artifact>& artifacts);

  Coordinator& coordinator_;
  const DataFolder& folder_;
};

}  // namespace strata::service
