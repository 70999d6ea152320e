// Checkpoints on disk: what a training needs to go on in the same bits, and weights for evaluation.
// docs/CHECKPOINTS.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/data/batching.h"
#include "model/data/safetensors.h"
#include "model/diagnostics/divergence.h"
#include "model/optim/adam.h"
#include "worker/trainer/events.h"
#include "worker/trainer/weights_hash.h"

namespace strata::trainer {

// Everything of a training beside weights and moments. Restoring it must leave no trace in what is
// measured.
struct TrainingState {
  int64_t update = 0;
  model::DataPosition position;
  // Since the last row of measurements.
  double loss_sum = 0, nll_sum = 0;
  int64_t target_tokens = 0;
  // Since the last validation: not finite where any update's was not.
  double loss_seen = 0, gradient_norm_seen = 0;
  std::vector<model::Validation> validations;
  int64_t best_update = -1;  // of best.safetensors; -1: none yet
};

// What a checkpoint may be continued with, and who wrote it.
struct CheckpointIdentity {
  std::vector<std::string> spec_lines;  // TrainingLines of the spec
  std::string dataset_digest;           // empty: any
  int64_t world_size = 1, threads = 1;
  std::string isa, device, libtorch;
};

// A folder of checkpoints. Every file is written under a temporary name, synced, renamed and the folder synced; then
// the index is replaced the same way.
//
// Saving copies the tensors in memory and returns; a thread of the store's own hashes, writes and emits `checkpoint`.
// One at a time: the next call waits for it. What went wrong there (std::system_error: disk full, ...) is thrown by the
// next call, by Check() or by Finish(). Not thread-safe; one process a folder.
class CheckpointStore {
 public:
  // `folder` is made if need be. Keeps the last `keep` resumable checkpoints.
  CheckpointStore(std::filesystem::path folder, int64_t keep, EventLog* events);
  ~CheckpointStore() = default;  // waits for what is being written

  // Whether there is anything to resume from, or to lose.
  bool Empty() const;

  // Writes update-<n>.safetensors, then drops the oldest. Returns its path relative to --out.
  std::string SaveResumable(const model::Adam& adam, const TrainingState& state, const CheckpointIdentity& identity);
  // Writes best.safetensors or final.safetensors ("best", "final"): weights only.
  void SaveWeights(const std::string& kind, const std::vector<model::NamedParameter>& parameters, int64_t update,
                   const CheckpointIdentity& identity);
  // Writes epoch-<n>.safetensors, weights only, after epoch `epoch` (from 1); keeps the last `keep` of them.
  void SaveEpoch(int64_t epoch, int64_t keep, const std::vector<model::NamedParameter>& parameters, int64_t update,
                 const CheckpointIdentity& identity);

  // Waits until everything saved so far is on disk and told.
  void Finish();
  // Throws what went wrong in the background, if anything did; does not wait.
  void Check();

  // Restores the newest intact checkpoint into `adam`, and returns its state; nothing if there is none. One that is
  // damaged is passed over with a warning. Failure: bad_spec where the newest was written by another spec or dataset,
  // checkpoint_corrupt where there are some and none is intact.
  std::optional<TrainingState> Restore(model::Adam& adam, const CheckpointIdentity& identity);

 private:
  struct Entry {
    std::string file, kind, sha256;
    int64_t update = 0;
    uint64_t bytes = 0;
  };
  struct Snapshot {
    std::string file, kind;
    int64_t update = 0, keep = 0;  // the last so many of the kind stay; 0: all
    model::NamedTensors tensors;
    std::map<std::string, std::string> metadata;
  };
  void Write(Snapshot snapshot);
  void Commit(const Snapshot& snapshot);  // on the writing thread
  std::string Path(const std::string& file) const;
  void ReadIndex();
  void WriteIndex() const;
  void SaveWeightsAs(const std::string& file, const std::string& kind, int64_t keep,
                     const std::vector<model::NamedParameter>& parameters, int64_t update,
                     const CheckpointIdentity& identity);
  void DropOld(const std::string& kind, int64_t keep);
  TrainingState Load(const Entry& entry, model::Adam& adam, const CheckpointIdentity& identity);

  std::filesystem::path folder_;
  int64_t keep_;
  EventLog* events_;
  std::vector<Entry> entries_;  // the writing thread's while it writes
  std::future<void> writing_;   // last, so that it ends before what it uses
};

// Copies the weights of any checkpoint into `parameters` and returns its update. Failure: checkpoint_corrupt for a file
// that is damaged, bad_spec where it was written for another task, model, vocabulary or dataset.
int64_t LoadWeights(const std::filesystem::path& file, const std::vector<model::NamedParameter>& parameters,
                    const CheckpointIdentity& identity);

}  // namespace strata::trainer
