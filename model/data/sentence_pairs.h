// The sentence pairs of one split, over the mapped shards that hold them. Plain C++.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/data/shard.h"
#include "model/data/sized_examples.h"

namespace strata::model {

// Pairs are numbered from 0 in the shards' order. Owns the shards; immutable, safe to read from many threads.
// Memory beyond the mapping: 4 bytes a pair that is left, and only where some were left out.
class SentencePairs : public SizedExamples {
 public:
  // All shards must have two streams: throws DataError otherwise. Keeps the first `limit` pairs (0: all), and of them
  // those with no side longer than `max_length` subwords (0: all).
  SentencePairs(std::vector<Shard> shards, uint64_t limit = 0, int64_t max_length = 0);

  size_t size() const override { return size_; }
  std::span<const int32_t> Source(size_t pair) const { return Side(0, pair); }  // ids without bos and eos
  std::span<const int32_t> Target(size_t pair) const { return Side(1, pair); }
  uint64_t left_out() const override { return left_out_; }
  const std::vector<Piece>& pieces() const { return pieces_; }

  std::vector<int32_t> Sizes(int stream) const override;
  void CountTargets(std::vector<uint64_t>& counts) const override;

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

}  // namespace strata::model
