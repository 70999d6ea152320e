// Gradients summed over ranks by c10d's Reducer, bucket after bucket while the backward pass goes on.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/optim/flat_parameters.h"
#include "worker/trainer/ranks.h"

namespace strata::trainer {

// Which parameters' gradients travel together, in the order of travel: from the last parameter to the first, as a
// backward pass completes them, in buckets of at most `limit` elements (or of one parameter). It follows from the sizes
// alone, so a training that goes on from a checkpoint adds in the same order.
std::vector<std::vector<size_t>> GradientBuckets(const std::vector<int64_t>& elements, int64_t limit);

// Not thread-safe. The parameters' gradients stay views of the flat buffer: the Reducer copies each into its bucket and
// the sums back. Costs one more buffer of the gradients' size.
class GradientReducer {
 public:
  // Both must outlive it; there must be several ranks.
  GradientReducer(Ranks* ranks, model::FlatParameters& flat);
  ~GradientReducer();
  GradientReducer(const GradientReducer&) = delete;
  GradientReducer& operator=(const GradientReducer&) = delete;

  // The backward pass of this rank's last batch of update `update`; afterwards the gradients are the sums over all
  // batches of all ranks. Every rank must call it. Failure: rank_lost.
  void Backward(const at::Tensor& loss, int64_t update);
  // The same for an update in which some rank has no batch: sums what has been accumulated. Every rank must call it.
  void SumAccumulated(int64_t update);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata::trainer
