// How a split is scored: of what was decoded, or by the model's loss.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/metrics/sentence_scores.h"
#include "worker/trainer/decode_split.h"

namespace strata::trainer {

struct SplitScore {
  std::map<std::string, double> values;  // by measurement name
  model::SplitSentences sentences;
};

// Whether this build can score by `metric`, of the registry's kind (MetricInfo::decodes).
bool CanScore(const std::string& metric, bool decodes);

// The first `sentences` raw references of a split. Failure (data_error): there are none, or of another number of lines.
std::vector<std::string> ReadReferences(const Job& job, const model::Manifest& manifest, const std::string& split,
                                        size_t sentences);

SplitScore ScoreDecoded(const std::string& metric, const DecodedSplit& decoded,
                        const std::vector<std::string>& references);

// Words and line ends of a split's raw text, or of its first `sentences` lines (0: all). Failure (data_error) where the
// dataset does not say.
uint64_t WordsAndLineEnds(const Job& job, const model::Manifest& manifest, const std::string& split, int64_t sentences);

// perplexity and nll. A row is an example: a window of text; its words are those of its targets, scaled so that all
// rows' add up to `units`. Example i is rank i mod W's; every rank gets the same bits, for any W. Nothing where a stop was
// asked for.
std::optional<SplitScore> ScoreByLoss(const Job& job, const std::string& split, uint64_t units,
                                      model::SequenceModel& model, const model::Examples& examples, Progress& progress,
                                      int64_t* done);

}  // namespace strata::trainer
