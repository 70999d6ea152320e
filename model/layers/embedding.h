// Embeddings with sinusoidal positions, and the projection onto the vocabulary with its loss.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers/packing.h"
#include "model/layers/pass.h"
#include "model/tasks/task.h"

namespace strata::model {

// fairseq's sinusoidal positions [sin | cos] for positions 0 .. rows - 1; row kPad is zero.
class Positions {
 public:
  explicit Positions(int64_t dim) : dim_(dim) {}
  // A table of at least `rows` rows; grows as needed.
  const at::Tensor& Table(int64_t rows);

 private:
  int64_t dim_;
  at::Tensor table_;
};

// dropout(sqrt(D) E[token] + position) [N, D]. `tied`: another use of `table_VD` gives a dense gradient in the same pass, to
// which this one's can be added row by row.
at::Tensor Embed(const at::Tensor& table_VD, const Packing& packing, Positions& positions, const DropoutSite& dropout, bool tied);

// Loss of x E^T against targets_N (rows whose target is kPad are left out). Differentiable in x and table.
LossSums ProjectedLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& targets_N, double smoothing);

}  // namespace strata::model
