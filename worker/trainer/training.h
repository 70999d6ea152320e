// The TRAIN job: updates, validations, measurements, the verdict, checkpoints.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/data/batching.h"
#include "model/diagnostics/divergence.h"
#include "model/optim/adam.h"
#include "worker/trainer/gradient_reducer.h"
#include "worker/trainer/job.h"
#include "worker/trainer/measurements.h"
#include "worker/trainer/progress.h"
#include "worker/trainer/validation.h"

namespace strata::trainer {

// After each update: its rows of measurements, then (where due) validation and verdict, then (where due) a checkpoint.
// A checkpoint so holds a training whose measurements up to its update are all told, and one that is resumed tells the
// rest in the same bits. Of several ranks each works on its share of an update's batches, and all of them hold the same
// state; the first one reads and writes the checkpoints and tells what is measured. Not thread-safe; once.
class Training {
 public:
  // Loads data and model and, with job.resume, the newest checkpoint; emits `started`. `job`, whose ranks have met,
  // must outlive it.
  explicit Training(const Job& job);

  // Trains to the end, to a verdict or to a request to stop; emits all else, `finished` or `stopped` included.
  void Run();

 private:
  // Of one update, over all ranks: target tokens, loss and nll of its batches, how many ranks were asked to stop and
  // for a checkpoint.
  struct Sums {
    double tokens = 0, loss = 0, nll = 0, stops = 0, checkpoints = 0;
  };
  void Start();
  // The newest checkpoint's state, the same on all ranks; nothing where there is none, or it is not asked for.
  std::optional<TrainingState> Restore();
  void Update();
  // This rank's share of them, and then the gradients' sums over all ranks.
  void AccumulateGradients(const std::vector<uint32_t>& batches, Sums* sums);
  void AddOverRanks(const std::string& name, Sums* sums);
  void TrainingRow(double gradient_norm, double learning_rate);
  void Validate();
  // Adds what is due of the layers to the row; `norms`: gradient norms that a validation has measured already, or null.
  void Diagnose(const model::NormsByStack* norms);
  void EmitRow();
  bool Ended() const;
  bool EpochEnded() const { return state_.position.batch == static_cast<int64_t>(batches_.size()); }
  void ReportVerdict(const model::Verdict& verdict);
  bool StopAgreed() const;
  bool CheckpointDue();  // of the first rank
  std::string SaveCheckpoint();
  void Stop();
  void Finish();
  // The last update is always due, a verdict's too.
  bool Due(int64_t every) const { return every > 0 && (state_.update % every == 0 || Ended()); }

  const Job& job_;
  const TrainSpec& spec_;
  model::Manifest manifest_;
  std::unique_ptr<model::Examples> examples_;
  model::Batches batches_;
  std::unique_ptr<model::SequenceModel> model_;
  model::Adam adam_;
  model::EpochOrder order_;
  std::function<double(int64_t)> learning_rate_;  // of the update after so many
  std::unique_ptr<Validator> validator_;
  std::optional<model::Judge> judge_;
  std::unique_ptr<GradientReducer> reducer_;      // of several ranks
  std::unique_ptr<CheckpointStore> checkpoints_;  // the first rank's
  CheckpointIdentity identity_;
  TrainingState state_;
  MeasurementRow row_;
  Sums last_;                // of the last update
  std::string batch_shape_;  // of the batch that is being worked on
  Progress progress_;
  std::chrono::steady_clock::time_point last_checkpoint_;
};

}  // namespace strata::trainer
