// Tensors of sentence pairs.
#pragma once

#include <cstdint>
#include <span>

#include "model/data/sentence_pairs.h"
#include "model/tasks/task.h"

namespace strata::model {

// The pairs numbered `sentences` as one batch on the CPU, padded on the right; source and target end with eos.
Batch Collate(const SentencePairs& pairs, std::span<const uint32_t> sentences);

// Copies to `device`; returns `batch` itself for the CPU.
Batch ToDevice(Batch batch, const at::Device& device);

}  // namespace strata::model
