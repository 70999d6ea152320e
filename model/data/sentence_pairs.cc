#include "model/data/sentence_pairs.h"

#include <algorithm>
#include <limits>

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

void SentencePairs::CountTargets(std::vector<uint64_t>& counts) const {
  for (size_t pair = 0; pair < size_; ++pair) {
    for (const int32_t id : Target(pair)) ++counts[static_cast<size_t>(id)];
    ++counts[kEosId];
  }
}

}  // namespace strata::model
