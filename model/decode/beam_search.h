// Beam search with fairseq's semantics over any model that gives the next token's logits.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/tasks/task.h"

namespace strata::model {

// A model in the middle of decoding. Not thread-safe.
class StepModel {
 public:
  virtual ~StepModel() = default;
  // Logits [R, V] of the next token of R hypotheses. tokens[r]: the last token of hypothesis r; from[r]: the row of the call
  // before that it continues (of the first call: its sentence). Rows of one sentence stand together. The result may be
  // overwritten; it may stand on a device, from which the best candidates alone are copied.
  virtual at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) = 0;
};

// 2 x beam candidates a step; an eos counts only among the best `beam`; at least one token before it; eos is forced at the
// limit; a sentence is done once `beam` hypotheses are finished. source_lengths: tokens with eos, by which the limit
// max_length_a x length + max_length_b goes. Throws std::invalid_argument for options that make no sense.
Hypotheses BeamSearch(StepModel& model, const std::vector<int64_t>& source_lengths, const DecodeOptions& options);

}  // namespace strata::model
