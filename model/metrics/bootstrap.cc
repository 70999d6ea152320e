#include "model/metrics/bootstrap.h"

#include <algorithm>
#include <random>
#include <stdexcept>
#include <vector>

namespace strata::model {
namespace {

// As std::uniform_int_distribution, but the same on every machine.
uint32_t Draw(std::mt19937_64& random, uint64_t below) { return static_cast<uint32_t>((random() >> 32) * below >> 32); }

void CheckAlike(std::string_view value, const SentenceScores& scores, const SentenceScores& first) {
  const std::vector<std::string>& values = ValuesOf(scores.metric);
  if (std::find(values.begin(), values.end(), value) == values.end()) {
    throw std::invalid_argument("Sentence scores are of metric " + scores.metric + ", which gives no " +
                                std::string(value) + ".");
  }
  if (scores.splits.size() != first.splits.size() || scores.splits.empty()) {
    throw std::invalid_argument("Both systems must be scored on the same splits: there are " +
                                std::to_string(first.splits.size()) + " and " + std::to_string(scores.splits.size()) +
                                " of them.");
  }
  for (size_t i = 0; i < scores.splits.size(); ++i) {
    const SplitSentences &ours = scores.splits[i], &theirs = first.splits[i];
    if (ours.split != theirs.split || ours.rows.size() != theirs.rows.size() || ours.rows.empty()) {
      throw std::invalid_argument("Both systems must be scored on the same sentences: there are " +
                                  std::to_string(theirs.rows.size()) + " of split " + theirs.split + " and " +
                                  std::to_string(ours.rows.size()) + " of split " + ours.split + ".");
    }
  }
}

using Indices = std::vector<std::vector<uint32_t>>;  // of each split

double MeanScore(std::string_view value, std::span<const SentenceScores> trainings, const Indices* indices) {
  double sum = 0;
  for (const SentenceScores& training : trainings) {
    double of_splits = 0;
    for (size_t i = 0; i < training.splits.size(); ++i) {
      of_splits += indices == nullptr ? CorpusScore(value, training.splits[i].rows)
                                      : CorpusScore(value, training.splits[i].rows, (*indices)[i]);
    }
    sum += of_splits / static_cast<double>(training.splits.size());
  }
  return sum / static_cast<double>(trainings.size());
}

void Summarise(std::vector<double> differences, bool higher_is_better, Comparison* result) {
  for (const double difference : differences) {
    if (difference == 0) continue;
    ++((difference > 0) == higher_is_better ? result->wins_a : result->wins_b);
  }
  if (result->difference != 0) {
    const bool a_is_better = (result->difference > 0) == higher_is_better;
    const int64_t wins = a_is_better ? result->wins_a : result->wins_b;
    result->p_value = static_cast<double>(1 + result->samples - wins) / static_cast<double>(1 + result->samples);
  }
  std::sort(differences.begin(), differences.end());
  const size_t outside = differences.size() / 40;  // 2.5 % on either side
  result->difference_low = differences[outside];
  result->difference_high = differences[differences.size() - 1 - outside];
}

}  // namespace

Comparison PairedBootstrap(std::string_view value, std::span<const SentenceScores> a, std::span<const SentenceScores> b,
                           const BootstrapOptions& options) {
  if (a.empty() || b.empty() || options.samples < 1) {
    throw std::invalid_argument("A comparison needs a training of each system and at least one resample.");
  }
  for (const auto& system : {a, b}) {
    for (const SentenceScores& training : system) CheckAlike(value, training, a.front());
  }
  Comparison result{
      .score_a = MeanScore(value, a, nullptr), .score_b = MeanScore(value, b, nullptr), .samples = options.samples};
  result.difference = result.score_a - result.score_b;
  std::mt19937_64 random(options.seed);
  Indices indices;
  for (const SplitSentences& split : a.front().splits) indices.emplace_back(split.rows.size());
  std::vector<double> differences;
  for (int64_t sample = 0; sample < options.samples; ++sample) {
    for (std::vector<uint32_t>& of_split : indices) {
      for (uint32_t& index : of_split) index = Draw(random, of_split.size());
    }
    differences.push_back(MeanScore(value, a, &indices) - MeanScore(value, b, &indices));
  }
  Summarise(std::move(differences), HigherIsBetter(value), &result);
  return result;
}

}  // namespace strata::model
