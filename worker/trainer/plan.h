// What a spec will cost, before anything is trained.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>

#include "model/data/manifest.h"
#include "model/tasks/task.h"
#include "worker/trainer/spec.h"

namespace strata::trainer {

// How the examples of a task fill a batch: a full batch counts so many units of `train.max_tokens` on its longer side.
struct Shape {
  double source_share = 1, target_share = 1;  // units of each side for each unit of max_tokens
  double length = 64;                         // units of an example's longer side
};
// From the training split's counts; without a manifest from the task's usual ratios.
Shape ShapeOf(const TrialSpec& spec, const model::SequenceModel& model, const model::Manifest* manifest);

// Of one unit of max_tokens. Matrix products only (2 FLOPs a multiplication and addition); activations are an estimate of what
// a backward pass keeps.
struct Cost {
  double forward_flops = 0;
  double activation_bytes = 0;
};
Cost CostOf(const model::SequenceModel& model, const Shape& shape);

// {"vocabulary", "parameters", "positions": {"source", "target"}, "flops_per_update", "updates", "flops", "memory_bytes":
// {"weights", "gradients", "optimizer", "activations", "checkpoint", "total"}, "checkpoint_bytes", "weights_bytes"}, of one rank. Parameters are counted
// in the model itself; backward costs twice the forward. Full batches. Failure (bad_spec) where no such model can be built.
nlohmann::ordered_json Plan(const TrialSpec& spec, int64_t vocabulary, const model::Manifest* manifest = nullptr);

// Units of max_tokens in the batch of a PROBE: train.max_tokens, or fewer where a pass would cost more than kProbeFlops or keep
// more than kProbeBytes; at least kProbeLeast.
inline constexpr double kProbeFlops = 2.5e11, kProbeBytes = 1.5e9;
inline constexpr int64_t kProbeLeast = 64;
int64_t ProbeTokens(const TrialSpec& spec, const model::SequenceModel& model, const model::Manifest& manifest);

}  // namespace strata::trainer
