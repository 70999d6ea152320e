// Running out of memory on a batch, told to a person.
#pragma once

#include <exception>
#include <string>

#include "model/tasks/task.h"

namespace strata::trainer {

// "12 sentences x 31 source and 40 target tokens, 410 target tokens in all" (speech: frames in the source's place).
std::string ShapeOf(const model::Batch& batch);

// Throws what `error` means: where memory, the processor's or a device's, ran out, a Failure (out_of_memory) that says what
// was being done ("update 7"), on a batch of which shape, and what helps ("Lower train.max_tokens.").
[[noreturn]] void ThrowOnBatch(const std::exception& error, const std::string& doing, const std::string& shape,
                               const std::string& remedy);

}  // namespace strata::trainer
