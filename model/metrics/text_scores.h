// Scores of lines against references, by the metric's name. What `strata score` and the EVALUATE job compute.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/metrics/sentence_scores.h"

namespace strata::model {

struct TextScores {
  // By measurement name, in percent: bleu, bleu_precision_1 .. 4 and bleu_brevity_penalty (0 to 1); rouge1, rouge2,
  // rougeL; wer.
  std::map<std::string, double> values;
  std::vector<SentenceRow> rows;  // one a line
};

// bleu, rouge, wer.
std::vector<std::string> TextMetrics();

// How the metric is computed, in the manner of sacreBLEU's signatures, the standard tool's version included.
// Throws std::invalid_argument for another metric.
std::string MetricSignature(std::string_view metric);

// Throws std::invalid_argument for another metric, other numbers of hypotheses than of references, or none.
TextScores ScoreTexts(std::string_view metric, std::span<const std::string> hypotheses,
                      std::span<const std::string> references);

}  // namespace strata::model
