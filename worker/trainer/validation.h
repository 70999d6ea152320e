// NLL and gradient norms on the validation set.
#pragma once

#include <functional>

#include "model/diagnostics/inspect.h"
#include "worker/trainer/job.h"

namespace strata::trainer {

// Holds the validation pairs and their batches, the same at every validation. Not thread-safe.
class Validator {
 public:
  // Batches of at most `max_tokens`. `model` must outlive it. Failure (data_error) where the dataset lacks
  // train.validation_split.
  Validator(const Job& job, const model::Manifest& manifest, model::SequenceModel& model, int64_t max_tokens);

  // Plain NLL, nats a target token (ends of sentence included), dropout off. Batch i is rank i mod W's; the sum goes by
  // batches, so it is the same bits on any number of ranks. Calls `after_batch` after each batch of this one.
  double Nll(const std::function<void(int64_t tokens)>& after_batch);

  // Gradient norms at the layers' outputs on the fixed batch: the middle one of the batches in order of length.
  model::NormsByStack OutputNorms();
  // Whatever else is wanted of the layers, on the same batch.
  model::Vectors Inspect(const model::Inspection& wanted);

  const model::Examples& examples() const { return *examples_; }

 private:
  model::SequenceModel& model_;
  Ranks& ranks_;
  std::unique_ptr<model::Examples> examples_;
  model::Batches batches_;
  model::Batch fixed_batch_;
};

// The rule's ratio: first over last layer of the decoder, or of the only stack.
double DivergenceRatio(const model::NormsByStack& norms);

}  // namespace strata::trainer
