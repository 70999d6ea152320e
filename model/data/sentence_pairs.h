// The sentence pairs of one split, over the mapped shards that hold them. Plain C++.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/data/batching.h"
#include "model/data/shard.h"

namespace strata::model {

// Pairs are numbered from 0 in the shards' order. Owns the shards; immutable, safe to read from many threads.
// Memory beyond the mapping: 4 bytes a pair that is left, and only where some were left out.
class SentencePairs {
 public:
  // All shards must have two streams: throws DataError otherwise. Keeps the first `limit` pairs (0: all), and of them
  // those with no side longer than `max_length` subwords (0: all).
  SentencePairs(std::vector<Shard> shards, uint64_t limit = 0, int64_t max_length = 0);

  size_t size() const { return size_; }
  std::span<const int32_t> Source(size_t pair) const { return Side(0, pair); }  // ids without bos and eos
  std::span<const int32_t> Target(size_t pair) const { return Side(1, pair); }
  uint64_t left_out() const { return left_out_; }  // pairs that were too long
  const std::vector<Piece>& pieces() const { return pieces_; }

  // Lengths of one side with the end of sentence, as batches count them. O(pairs), one entry a pair.
  std::vector<int32_t> Sizes(int stream) const;

 private:
  struct Place {
    size_t shard;
    uint64_t sentence;
  };
  Place Find(size_t pair) const;
  std::span<const int32_t> Side(int stream, size_t pair) const;

  std::vector<Shard> shards_;
  std::vector<uint64_t> begins_;  // number of each shard's first pair, before pairs were left out
  std::vector<uint32_t> kept_;    // numbers of the pairs that are left, or empty for all
  std::vector<Piece> pieces_;
  size_t size_ = 0;
  uint64_t left_out_ = 0;
};

// Batches for training: lengths from `pairs`, ties drawn from `seed`. Throws DataError naming the pair that is too long
// for a batch and the remedy, and for no pairs at all.
Batches TrainingBatches(const SentencePairs& pairs, const BatchLimits& limits, uint64_t seed);

// Batches for validation and decoding: always the same for the same pairs and limits; a pair longer than max_tokens is
// a batch of its own length.
Batches FixedBatches(const SentencePairs& pairs, BatchLimits limits);

// NLL of `validation`'s targets (ends of sentence included), nats a token, under the add-one counts of `training`'s
// targets over `vocabulary` pieces: what a model reaches that knows nothing but how frequent words are.
double UnigramNll(const SentencePairs& training, const SentencePairs& validation, size_t vocabulary);

}  // namespace strata::model
