#include "model/data/sized_examples.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "model/data/shard.h"

namespace strata::model {

Batches TrainingBatches(const SizedExamples& examples, const BatchLimits& limits, uint64_t seed) {
  if (examples.size() == 0) {
    throw DataError("The training split has no examples" +
                    (examples.left_out() > 0 ? " left: train.max_length leaves out all " +
                                                std::to_string(examples.left_out()) + " of them. Raise it."
                                          : std::string(". Prepare the dataset anew from text that is not empty.")));
  }
  const std::vector<int32_t> source = examples.Sizes(0), target = examples.Sizes(1);
  try {
    return MakeBatches(OrderBySize(Permutation(examples.size(), seed, kTieStream), source, target), source, target,
                       limits);
  } catch (const std::invalid_argument& error) {
    throw DataError(std::string("Training split: ") + error.what() +
                    " (train.max_tokens). " + examples.RemedyForLength());
  }
}

Batches FixedBatches(const SizedExamples& examples, BatchLimits limits) {
  if (examples.size() == 0) throw DataError("The split has no examples. Prepare the dataset anew.");
  const std::vector<int32_t> source = examples.Sizes(0), target = examples.Sizes(1);
  const int64_t longest =
      std::max(*std::max_element(source.begin(), source.end()), *std::max_element(target.begin(), target.end()));
  if (limits.max_tokens > 0) limits.max_tokens = std::max(limits.max_tokens, longest);
  std::vector<uint32_t> order(examples.size());
  std::iota(order.begin(), order.end(), 0);
  return MakeBatches(OrderBySize(std::move(order), source, target), source, target, limits);
}

double UnigramNll(const SizedExamples& training, const SizedExamples& validation, size_t vocabulary) {
  const auto count = [&](const SizedExamples& examples, uint64_t initial) {
    std::vector<uint64_t> counts(vocabulary, initial);
    examples.CountTargets(counts);
    return counts;
  };
  const std::vector<uint64_t> known = count(training, 1), asked = count(validation, 0);
  const auto total = static_cast<double>(std::accumulate(known.begin(), known.end(), uint64_t{0}));
  double nll = 0, tokens = 0;
  for (size_t id = 0; id < vocabulary; ++id) {
    nll -= static_cast<double>(asked[id]) * std::log(static_cast<double>(known[id]) / total);
    tokens += static_cast<double>(asked[id]);
  }
  return nll / tokens;
}

}  // namespace strata::model
