// The EVALUATE job: decodes a split with the weights of a checkpoint, and scores what came out.
#pragma once

#include <filesystem>

#include "worker/trainer/job.h"

namespace strata::trainer {

// Runs evaluation `index` of the spec with the weights in `checkpoint` (any checkpoint of the same model); writes
// hypotheses.txt (detokenised, one line a sentence, in the split's order) and emits everything from `started` to
// `finished`. Failure: bad_spec, data_error (no raw references, or other numbers of lines), checkpoint_corrupt.
void Evaluate(const Job& job, int64_t index, const std::filesystem::path& checkpoint);

}  // namespace strata::trainer
