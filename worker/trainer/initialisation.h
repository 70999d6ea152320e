// What a training starts from, written down before the first update, so that the comparison of two schemes can be checked: the
// order of the batches, and each tensor with its initialiser and hash.
#pragma once

#include "model/data/batching.h"
#include "model/data/examples.h"
#include "model/tasks/task.h"
#include "worker/trainer/job.h"

namespace strata::trainer {

// The last step before the first update: profiles the model on the first training batch where its scheme asks for that, then
// writes `initialisation.json` (docs/DIAGNOSTICS.md) into job.out and emits it as an artifact. Costs one reading of the weights:
// about 0.3 s for 400 MB.
void Initialise(const Job& job, const model::Examples& training, const model::Batches& batches, model::SequenceModel& model);

// SHA-256 over the batches of the first epoch in their order: each as its number of examples and their numbers, 32 bits
// little-endian.
std::string BatchesHash(const model::Batches& batches, uint64_t seed);

}  // namespace strata::trainer
