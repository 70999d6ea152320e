// Which sentences make a batch, and in which order batches come. Plain C++.
//
// Batches are fairseq's: sentences sorted by source length, then target length, ties in an order drawn once from the
// seed; then filled up to `max_tokens` = sentences x longest side, in multiples of eight sentences where that fits.
// They are made once, and their order is drawn anew each epoch. All of it depends on lengths, limits and seed alone, so
// that schemes of one experiment see the same batches in the same order.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace strata::model {

struct BatchLimits {
  int64_t max_tokens = 3584;      // sentences x longest side of a batch; <= 0: no limit
  int64_t max_sentences = 0;      // <= 0: no limit
  int64_t required_multiple = 8;  // a batch has fewer sentences than this, or a multiple of it, where it can
};

// Batches of sentence numbers: batch b holds sentences[offsets[b] .. offsets[b + 1]).
struct Batches {
  std::vector<uint32_t> sentences;
  std::vector<uint64_t> offsets{0};

  size_t size() const { return offsets.size() - 1; }
  std::span<const uint32_t> operator[](size_t batch) const {
    return std::span(sentences).subspan(offsets[batch], offsets[batch + 1] - offsets[batch]);
  }
};

// Sentence numbers sorted by source size, then target size, ties in the order of `initial`, which is consumed.
std::vector<uint32_t> OrderBySize(std::vector<uint32_t> initial, std::span<const int32_t> source_sizes,
                                  std::span<const int32_t> target_sizes);

// Cuts `ordered` into batches; sizes are indexed by sentence number (eos included). No sentence's size may exceed
// max_tokens: throws std::invalid_argument naming it. O(sentences).
Batches MakeBatches(std::vector<uint32_t> ordered, std::span<const int32_t> source_sizes,
                    std::span<const int32_t> target_sizes, const BatchLimits& limits);

// Streams of random numbers of one seed: those within batches, the order of ties, and from here on one an epoch.
inline constexpr uint64_t kBatchStream = 0, kTieStream = 1, kFirstEpochStream = 2;

// Seed of what is random in one batch of a training (dropout and the like): the `place`-th batch of the update after
// `updates_done`. So it depends neither on who works on the batch nor on where a training was interrupted.
uint64_t BatchSeed(uint64_t seed, int64_t updates_done, int64_t place);

// 0 .. count - 1, shuffled. The same on every machine for the same seed and stream.
std::vector<uint32_t> Permutation(size_t count, uint64_t seed, uint64_t stream);

// Where the training stands in its data. Part of a checkpoint.
struct DataPosition {
  int64_t epoch = 0;  // from 0
  int64_t batch = 0;  // batches of this epoch that lie behind, all ranks together
  friend bool operator==(const DataPosition&, const DataPosition&) = default;
};

// Hands out the batches of each update, epoch after epoch. An epoch's last update may have fewer of them.
// Not thread-safe. Memory: 4 bytes a batch beyond `batches`, which it does not own.
class EpochOrder {
 public:
  // `batches` must not be empty; per_update >= 1.
  EpochOrder(const Batches& batches, uint64_t seed, int64_t per_update);

  // Batch numbers of the next update: at most per_update, at least one.
  std::vector<uint32_t> Next();

  const DataPosition& position() const { return position_; }
  // Throws std::invalid_argument for a position outside of the epoch.
  void Seek(const DataPosition& position);

 private:
  void Shuffle();

  const Batches& batches_;
  uint64_t seed_;
  int64_t per_update_;
  DataPosition position_;
  std::vector<uint32_t> order_;
};

}  // namespace strata::model
