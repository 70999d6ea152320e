#include "worker/data/statistics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string_view>
#include <unordered_set>

#include "model/metrics/text.h"

namespace strata::data {
namespace {

using nlohmann::ordered_json;

ordered_json SideStatistics(const std::vector<std::vector<int32_t>>& sentences, const std::vector<std::string>& text) {
  std::vector<size_t> lengths;
  uint64_t tokens = 0, unknown = 0, words = 0;
  for (const auto& ids : sentences) {
    lengths.push_back(ids.size());
    tokens += ids.size();
    unknown += static_cast<uint64_t>(std::count(ids.begin(), ids.end(), model::kUnkId));
  }
  for (const std::string& line : text) words += model::SplitAtSpaces(line).size();
  std::sort(lengths.begin(), lengths.end());
  const auto percentile = [&](double p) {
    return lengths.empty() ? 0 : lengths[static_cast<size_t>(p * static_cast<double>(lengths.size() - 1))];
  };
  return {{"words", words},
          {"subwords", tokens},
          {"unknown", unknown},
          {"length",
           {{"p50", percentile(0.5)}, {"p90", percentile(0.9)}, {"p99", percentile(0.99)}, {"max", percentile(1)}}}};
}

}  // namespace

ordered_json SplitStatistics(const EncodedSplit& split) {
  return {{"pairs_read", split.read},
          {"pairs", split.source.size()},
          {"dropped", {{"empty side", split.empty}, {"too long", split.too_long}}},
          {"source", SideStatistics(split.source, split.source_text)},
          {"target", SideStatistics(split.target, split.target_text)}};
}

double UnigramLevel(const EncodedSplit& train, const EncodedSplit& valid, size_t vocabulary_size) {
  std::vector<double> counts(vocabulary_size, 1.0);
  double total = static_cast<double>(vocabulary_size);
  for (const auto& ids : train.target) {
    for (const int32_t id : ids) ++counts[id];
    ++counts[model::kEosId];
    total += static_cast<double>(ids.size() + 1);
  }
  double nats = 0, tokens = 0;
  for (const auto& ids : valid.target) {
    for (const int32_t id : ids) nats -= std::log(counts[id] / total);
    nats -= std::log(counts[model::kEosId] / total);
    tokens += static_cast<double>(ids.size() + 1);
  }
  return tokens > 0 ? nats / tokens : 0;
}

uint64_t Overlap(const EncodedSplit& train, const EncodedSplit& held_out) {
  const std::unordered_set<std::string_view> sources(train.source_text.begin(), train.source_text.end());
  const std::unordered_set<std::string_view> targets(train.target_text.begin(), train.target_text.end());
  uint64_t overlap = 0;
  for (size_t i = 0; i < held_out.source_text.size(); ++i) {
    overlap += sources.contains(held_out.source_text[i]) || targets.contains(held_out.target_text[i]) ? 1 : 0;
  }
  return overlap;
}

}  // namespace strata::data
