#include "model/data/batching.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>

namespace strata::model {
namespace {

// SplitMix64: small, and the same everywhere.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) : state_(seed) { state_ = Next() ^ (stream * 0xd1342543de82ef95ULL); }

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // Uniform in [0, bound), for bound far below 2^64.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }

 private:
  uint64_t state_;
};

}  // namespace

std::vector<uint32_t> Permutation(size_t count, uint64_t seed, uint64_t stream) {
  std::vector<uint32_t> order(count);
  std::iota(order.begin(), order.end(), 0);
  Random random(seed, stream);
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[random.Below(i)]);
  return order;
}

uint64_t BatchSeed(uint64_t seed, int64_t updates_done, int64_t place) {
  const uint64_t of_update = Random(Random(seed, kBatchStream).Next(), static_cast<uint64_t>(updates_done)).Next();
  return Random(of_update, static_cast<uint64_t>(place)).Next();
}

std::vector<uint32_t> OrderBySize(std::vector<uint32_t> initial, std::span<const int32_t> source_sizes,
                                  std::span<const int32_t> target_sizes) {
  std::stable_sort(initial.begin(), initial.end(), [&](uint32_t a, uint32_t b) {
    return source_sizes[a] != source_sizes[b] ? source_sizes[a] < source_sizes[b] : target_sizes[a] < target_sizes[b];
  });
  return initial;
}

Batches MakeBatches(std::vector<uint32_t> ordered, std::span<const int32_t> source_sizes,
                    std::span<const int32_t> target_sizes, const BatchLimits& limits) {
  Batches batches{.sentences = std::move(ordered)};
  const auto too_many = [&](int64_t tokens) { return limits.max_tokens > 0 && tokens > limits.max_tokens; };
  // [start, end) is the last complete batch, [end, position] its tail. A tail is taken in when batch and tail together
  // are complete; when both together are too large the batch is closed and the tail begins the next one.
  uint64_t start = 0, end = 0;
  int64_t batch_longest = 0, tail_longest = 0;
  for (uint64_t position = 0; position < batches.sentences.size(); ++position) {
    const uint32_t sentence = batches.sentences[position];
    const int64_t size = std::max(source_sizes[sentence], target_sizes[sentence]);
    if (too_many(size)) {
      throw std::invalid_argument("sentence " + std::to_string(sentence) + " has " + std::to_string(size) +
                                  " tokens with its end, more than the " + std::to_string(limits.max_tokens) +
                                  " of a batch");
    }
    tail_longest = std::max(tail_longest, size);
    int64_t longest = std::max(batch_longest, tail_longest);
    const auto sentences = static_cast<int64_t>(position + 1 - start);
    const bool overflow =
        (limits.max_sentences > 0 && sentences > limits.max_sentences) || too_many(sentences * longest);
    if (overflow) {
      if (too_many(tail_longest * static_cast<int64_t>(position + 1 - end))) {
        if (end > start) batches.offsets.push_back(end);
        end = position;  // the tail is a batch of its own, this sentence begins another
        tail_longest = size;
      }
      if (end > batches.offsets.back()) batches.offsets.push_back(end);
      start = end;
      longest = tail_longest;
    }
    if (overflow || sentences < limits.required_multiple || sentences % limits.required_multiple == 0) {
      end = position + 1;
      batch_longest = longest;
      tail_longest = 0;
    }
  }
  if (end > batches.offsets.back()) batches.offsets.push_back(end);
  if (batches.offsets.back() != batches.sentences.size()) batches.offsets.push_back(batches.sentences.size());
  return batches;
}

EpochOrder::EpochOrder(const Batches& batches, uint64_t seed, int64_t per_update)
    : batches_(batches), seed_(seed), per_update_(per_update) {
  if (batches.size() == 0 || per_update < 1) throw std::invalid_argument("There are no batches to train on.");
  Shuffle();
}

void EpochOrder::Shuffle() {
  order_ = Permutation(batches_.size(), seed_, kFirstEpochStream + static_cast<uint64_t>(position_.epoch));
}

std::vector<uint32_t> EpochOrder::Next() {
  if (position_.batch == static_cast<int64_t>(order_.size())) {
    position_ = {.epoch = position_.epoch + 1, .batch = 0};
    Shuffle();
  }
  const auto begin = order_.begin() + position_.batch;
  const auto count = std::min<int64_t>(per_update_, order_.end() - begin);
  position_.batch += count;
  return {begin, begin + count};
}

void EpochOrder::Seek(const DataPosition& position) {
  if (position.epoch < 0 || position.batch < 0 || position.batch > static_cast<int64_t>(order_.size())) {
    throw std::invalid_argument("Batch " + std::to_string(position.batch) + " of epoch " +
                                std::to_string(position.epoch) + " lies outside of the training data's " +
                                std::to_string(order_.size()) + " batches.");
  }
  position_ = position;
  Shuffle();
}

}  // namespace strata::model
