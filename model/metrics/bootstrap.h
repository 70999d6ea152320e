// Paired bootstrap resampling (Koehn 2004, "Statistical Significance Tests for Machine Translation Evaluation"): is one
// system better than another on these sentences, or was it luck with the test set?
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/metrics/sentence_scores.h"

namespace strata::model {

struct BootstrapOptions {
  int64_t samples = 1000;  // resamples of the test sets
  uint64_t seed = 12345;
};

// Of system a over system b. Scores are means over the splits and over the trainings of a system.
struct Comparison {
  double score_a = 0, score_b = 0;
  double difference = 0;                           // score_a - score_b
  double difference_low = 0, difference_high = 0;  // 95 % of the resampled differences lie between
  int64_t samples = 0, wins_a = 0, wins_b = 0;     // resamples in which the one is better; the rest are ties
  // (1 + resamples in which the system that is better on the whole is not better) / (1 + samples); 1 where both are
  // equal. Below 0.05: better beyond the luck of the sentences.
  double p_value = 1;
};

// Compares by `value` (ValuesOf the metric). `a` and `b` are the trainings of each system, one or more (seeds), each
// scored on the same splits with the same numbers of sentences; a resample draws each split's sentences anew with
// replacement, the same ones for all trainings. The same arguments give the same result on every machine. Throws
// std::invalid_argument naming what differs: the metric, a split, its number of sentences; or an unknown value, no
// sentences, no samples. O(samples x sentences x trainings).
Comparison PairedBootstrap(std::string_view value, std::span<const SentenceScores> a, std::span<const SentenceScores> b,
                           const BootstrapOptions& options = {});

}  // namespace strata::model
