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
#include "worker/trainer/job.h"
#include "worker/trainer/measurements.h"
#include "worker/trainer/progress.h"
#include "worker/trainer/validation.h"

namespace strata::trainer {

// After each update: its rows of measurements, then (where due) validation and verdict, then (where due) a checkpoint.
// A checkpoint so holds a training whose measurements up to its update are all told, and one that is resumed tells the
// rest in the same bits. Not thread-safe; once.
class Training {
 public:
  // Loads data and model and, with job.resume, the newest checkpoint; emits `started`. `job` must outlive it.
  explicit Training(const Job& job);

  // Trains to the end, to a verdict or to a request to stop; emits all else, `finished` or `stopped` included.
  void Run();

 private:
  void Start();
  void Update();
  void AccumulateGradients(const std::vector<uint32_t>& batches, int64_t* tokens);
  void TrainingRow(double gradient_norm, double learning_rate);
  void Validate();
  // Adds what is due of the layers to the row; `norms`: gradient norms that a validation has measured already, or null.
  void Diagnose(const model::NormsByStack* norms);
  void EmitRow();
  bool Ended() const;
  bool EpochEnded() const { return state_.position.batch == static_cast<int64_t>(batches_.size()); }
  void ReportVerdict(const model::Verdict& verdict);
  bool CheckpointDue();
  std::string SaveCheckpoint();
  void Finish();
  [[noreturn]] void TellBatch(const std::exception& error) const;
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
  CheckpointStore checkpoints_;
  CheckpointIdentity identity_;
  TrainingState state_;
  MeasurementRow row_;
  std::string batch_shape_;  // of the batch that is being worked on
  Progress progress_;
  std::chrono::steady_clock::time_point last_checkpoint_;
};

}  // namespace strata::trainer
