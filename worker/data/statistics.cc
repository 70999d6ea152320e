#include "worker/data/statistics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/data/shard.h"
#include "model/metrics/text.h"

namespace strata::data {
namespace {

using nlohmann::ordered_json;

uint64_t HashOf(std::string_view text) { return XXH3_64bits(text.data(), text.size()); }

// The length that stands at this share of all, from the shortest.
size_t Percentile(const std::vector<uint64_t>& lengths, uint64_t sentences, double share) {
  if (sentences == 0) return 0;
  const auto rank = static_cast<uint64_t>(share * static_cast<double>(sentences - 1));
  uint64_t before = 0;
  for (size_t length = 0; length < lengths.size(); ++length) {
    before += lengths[length];
    if (before > rank) return length;
  }
  return lengths.size() - 1;
}

}  // namespace

void SideFigures::Add(std::span<const int32_t> ids, std::string_view text) {
  words_ += model::SplitAtSpaces(text).size();
  subwords_ += ids.size();
  unknown_ += static_cast<uint64_t>(std::count(ids.begin(), ids.end(), model::kUnkId));
  if (lengths_.size() <= ids.size()) lengths_.resize(ids.size() + 1);
  ++lengths_[ids.size()];
}

ordered_json SideFigures::Json() const {
  uint64_t sentences = 0;
  for (const uint64_t n : lengths_) sentences += n;
  const auto percentile = [&](double share) { return Percentile(lengths_, sentences, share); };
  return {{"words", words_},
          {"subwords", subwords_},
          {"unknown", unknown_},
          {"length",
           {{"p50", percentile(0.5)}, {"p90", percentile(0.9)}, {"p99", percentile(0.99)}, {"max", percentile(1)}}}};
}

ordered_json SplitFigures::PairsJson() const {
  return {{"pairs_read", read},
          {"pairs", kept},
          {"dropped", {{"empty side", empty}, {"too long", too_long}}},
          {"source", source.Json()},
          {"target", target.Json()}};
}

double UnigramLevel(std::span<const uint64_t> train, std::span<const uint64_t> valid) {
  double total = static_cast<double>(train.size());
  for (const uint64_t count : train) total += static_cast<double>(count);
  double nats = 0, tokens = 0;
  for (size_t id = 0; id < valid.size(); ++id) {
    if (valid[id] == 0) continue;
    const auto count = static_cast<double>(valid[id]);
    nats -= count * std::log((static_cast<double>(train[id]) + 1) / total);
    tokens += count;
  }
  return tokens > 0 ? nats / tokens : 0;
}

void TrainSides::Add(std::string_view source, std::string_view target) {
  sources_.insert(HashOf(source));
  targets_.insert(HashOf(target));
}

bool TrainSides::HoldsEither(std::string_view source, std::string_view target) const {
  return sources_.contains(HashOf(source)) || targets_.contains(HashOf(target));
}

}  // namespace strata::data
