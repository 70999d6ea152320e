// Figures of a prepared dataset, for people: they stand in its manifest. Gathered sentence by sentence; what stays in
// memory is counts and hashes.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace strata::data {

// One side of a split.
class SideFigures {
 public:
  void Add(std::span<const int32_t> ids, std::string_view text);
  nlohmann::ordered_json Json() const;  // words, subwords, unknown, length
  uint64_t subwords() const { return subwords_; }

 private:
  uint64_t words_ = 0, subwords_ = 0, unknown_ = 0;
  std::vector<uint64_t> lengths_;  // sentences of each length
};

// What was read of a split and what came of it.
struct SplitFigures {
  SideFigures source, target;
  uint64_t read = 0, kept = 0, empty = 0, too_long = 0;
  std::vector<uint64_t> target_counts;  // of each id, eos included

  // Pairs read, kept and dropped by reason; words, subwords, lengths and unknowns of either side.
  nlohmann::ordered_json PairsJson() const;
};

// Cross entropy, in nats a token, of valid's targets (eos included) under the add-one unigram counts of train's: the
// level that a model which learns nothing but frequencies reaches. Both lists are of the vocabulary's size.
double UnigramLevel(std::span<const uint64_t> train, std::span<const uint64_t> valid);

// The sides of training pairs, by 64-bit hashes: for a warning about held-out pairs of which a side stands in train.
class TrainSides {
 public:
  void Add(std::string_view source, std::string_view target);
  bool HoldsEither(std::string_view source, std::string_view target) const;

 private:
  std::unordered_set<uint64_t> sources_, targets_;
};

}  // namespace strata::data
