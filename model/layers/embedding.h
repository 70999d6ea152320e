// Embeddings with sinusoidal positions, and the projection onto the vocabulary with its loss. Ids, targets and packings
// stand on the CPU; they are copied to the tables' device where they are needed.
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
  // The positions of a packing's rows [N, D], in the type and on the device of `like`.
  at::Tensor Of(const Packing& packing, const at::Tensor& like);

 private:
  int64_t dim_;
  at::Tensor table_, on_device_;  // one and the same on the CPU
};

// Word dropout: [N], 0 for a row whose embedding is dropped, with the site's probability, else 1 (what is kept is not
// scaled up). Undefined where the rate is 0. `keep_first`: the first row of every sentence is always kept.
at::Tensor KeptWords(const Packing& packing, const DropoutSite& site, bool keep_first);

// Throws std::invalid_argument where an id is outside of the vocabulary. `what`: "token" or "target".
void CheckIds(const at::Tensor& ids, int64_t vocabulary, const char* what);

// Rows of a table [V, W] by ids: scale x table[id]. `tied`: another use of the table gives a dense gradient in the same
// pass, to which this one's can be added row by row.
at::Tensor TableRows(const at::Tensor& table_VW, const at::Tensor& ids_N, double scale, bool tied);

// dropout(sqrt(D) E[token] + position) [N, D]; kept_N as KeptWords gives it, before positions are added. `tied` as in
// TableRows.
at::Tensor Embed(const at::Tensor& table_VD, const Packing& packing, Positions& positions, const DropoutSite& dropout,
                 bool tied, const at::Tensor& kept_N = {});

// Label smoothing: (1 - epsilon) nll + epsilon / V sum(-log p) over all V pieces, or with `over_others` over the V - 1
// others: (1 - epsilon) nll + epsilon / (V - 1) (sum(-log p) - nll).
struct Smoothing {
  double epsilon = 0;
  bool over_others = false;
};

// Loss of x E^T against targets_N (rows whose target is kPad are left out). Differentiable in x and table.
LossSums ProjectedLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& targets_N,
                       const Smoothing& smoothing, Precision precision);

// The same for every row: no class is padding. `further_KD`, where defined, adds K classes behind the table's. Both
// tables get a dense gradient, of zeros where there are no rows.
LossSums ClassLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& further_KD,
                   const at::Tensor& classes_N, const Smoothing& smoothing, Precision precision);

}  // namespace strata::model
