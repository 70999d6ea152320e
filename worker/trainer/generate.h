// The `generate` job: decodes, or scores, a user's own text with the weights of a trained model (docs/EVALUATION.md).
#pragma once

#include <filesystem>
#include <vector>

#include "worker/trainer/job.h"

namespace strata::trainer {

// Works on split `input` of the dataset (`strata-data encode`) as the spec's first evaluation says, without references.
// A task that decodes leaves hypotheses.txt, and n-best.jsonl where n_best is above 1. One that does not leaves
// line_scores.jsonl, an object a line, {"line" (from 1), "nll" (nats), "tokens", "words"}, line ends counted as words,
// and emits `perplexity` and `nll`. The dataset's own digest is not held against the checkpoint's, its vocabulary is.
// Failure: bad_spec, data_error, checkpoint_corrupt.
void Generate(const Job& job, const std::vector<std::filesystem::path>& checkpoints);

}  // namespace strata::trainer
