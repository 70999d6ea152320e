// The EVALUATE job: scores one or several splits with the weights of one or several checkpoints (docs/EVALUATION.md).
#pragma once

#include <filesystem>
#include <vector>

#include "worker/trainer/job.h"

namespace strata::trainer {

// Runs evaluation `index` of the spec with the mean of the weights in `checkpoints` (any checkpoints of the same
// model); writes hypotheses, n-best lists and sentence scores under --out and emits everything from `started` to
// `finished`. Failure: bad_spec, data_error (no raw references, or other numbers of lines; no detokeniser),
// checkpoint_corrupt.
void Evaluate(const Job& job, int64_t index, const std::vector<std::filesystem::path>& checkpoints);

// `started`, as every job that only reads weights emits it.
void EmitStarted(const Job& job, const char* name, const std::vector<model::NamedParameter>& parameters);
void EmitStopped(const Job& job, int64_t update);
void EmitFinished(const Job& job, int64_t update, const std::vector<model::NamedParameter>& parameters);

// Windows of an evaluation of a language model, and its first sentences; other tasks look at the latter only. Failure
// (bad_spec) where a window is all context.
model::ExampleOptions WindowsOf(const TrialSpec& spec, const EvaluateSpec& evaluation, int64_t sentences);

}  // namespace strata::trainer
