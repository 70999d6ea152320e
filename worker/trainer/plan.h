// What a spec will cost, before anything is trained.
#pragma once

#include <nlohmann/json.hpp>

#include "worker/trainer/spec.h"

namespace strata::trainer {

// {"vocabulary", "parameters", "flops_per_update", "updates", "flops", "memory_bytes": {"weights", "gradients",
// "optimizer", "activations", "total"}, "checkpoint_bytes"}. Parameters are counted in the model itself. FLOPs are
// those of matrix products with full batches (2 for a multiplication and addition, backward twice the forward);
// activations are an estimate of what a backward pass keeps. Failure (bad_spec) where no such model can be built.
nlohmann::ordered_json Plan(const TrialSpec& spec, int64_t vocabulary);

}  // namespace strata::trainer
