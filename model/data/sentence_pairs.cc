#include "model/data/sentence_pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace strata::model {

SentencePairs::SentencePairs(std::vector<Shard> shards, uint64_t limit, int64_t max_length)
    : shards_(std::move(shards)) {
  uint64_t total = 0;
  for (const Shard& shard : shards_) {
    if (shard.streams() != 2) throw DataError("A shard has one stream of tokens where source and target are needed.");
    begins_.push_back(total);
    total += shard.sentences();
  }
  if (!shards_.empty()) pieces_.assign(shards_[0].pieces().begin(), shards_[0].pieces().end());
  if (limit > 0) total = std::min(total, limit);
  if (total > std::numeric_limits<uint32_t>::max())
    throw DataError("A split has more than 4,294,967,295 sentence pairs.");
  size_ = total;
  if (max_length <= 0) return;
  std::vector<uint32_t> kept;
  for (size_t pair = 0; pair < total; ++pair) {
    if (std::max(Source(pair).size(), Target(pair).size()) <= static_cast<size_t>(max_length)) kept.push_back(pair);
  }
  left_out_ = total - kept.size();
  if (left_out_ > 0) kept_ = std::move(kept);
  size_ = total - left_out_;
}

SentencePairs::Place SentencePairs::Find(size_t pair) const {
  const uint64_t number = kept_.empty() ? pair : kept_[pair];
  const auto shard =
      static_cast<size_t>(std::upper_bound(begins_.begin(), begins_.end(), number) - begins_.begin() - 1);
  return {shard, number - begins_[shard]};
}

std::span<const int32_t> SentencePairs::Side(int stream, size_t pair) const {
  const Place place = Find(pair);
  return shards_[place.shard].Sentence(stream, place.sentence);
}

std::vector<int32_t> SentencePairs::Sizes(int stream) const {
  std::vector<int32_t> sizes(size_);
  for (size_t pair = 0; pair < size_; ++pair) sizes[pair] = static_cast<int32_t>(Side(stream, pair).size()) + 1;
  return sizes;
}

Batches TrainingBatches(const SentencePairs& pairs, const BatchLimits& limits, uint64_t seed) {
  if (pairs.size() == 0) {
    throw DataError("The training split has no sentence pairs" +
                    (pairs.left_out() > 0 ? " left: train.max_length leaves out all " +
                                                std::to_string(pairs.left_out()) + " of them. Raise it."
                                          : std::string(". Prepare the dataset anew from text that is not empty.")));
  }
  const std::vector<int32_t> source = pairs.Sizes(0), target = pairs.Sizes(1);
  try {
    return MakeBatches(OrderBySize(Permutation(pairs.size(), seed, kTieStream), source, target), source, target,
                       limits);
  } catch (const std::invalid_argument& error) {
    throw DataError(std::string("Training split: ") + error.what() +
                    " (train.max_tokens). Raise train.max_tokens, or leave long pairs out with train.max_length.");
  }
}

Batches FixedBatches(const SentencePairs& pairs, BatchLimits limits) {
  if (pairs.size() == 0) throw DataError("The split has no sentence pairs. Prepare the dataset anew.");
  const std::vector<int32_t> source = pairs.Sizes(0), target = pairs.Sizes(1);
  const int64_t longest =
      std::max(*std::max_element(source.begin(), source.end()), *std::max_element(target.begin(), target.end()));
  if (limits.max_tokens > 0) limits.max_tokens = std::max(limits.max_tokens, longest);
  std::vector<uint32_t> order(pairs.size());
  std::iota(order.begin(), order.end(), 0);
  return MakeBatches(OrderBySize(std::move(order), source, target), source, target, limits);
}

double UnigramNll(const SentencePairs& training, const SentencePairs& validation, size_t vocabulary) {
  const auto count = [&](const SentencePairs& pairs, uint64_t initial) {
    std::vector<uint64_t> counts(vocabulary, initial);
    for (size_t pair = 0; pair < pairs.size(); ++pair) {
      for (const int32_t id : pairs.Target(pair)) ++counts[static_cast<size_t>(id)];
      ++counts[kEosId];
    }
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
