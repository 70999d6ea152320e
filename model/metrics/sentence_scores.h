// What each sentence adds to a corpus score: its sufficient statistics, so that the score of any resample of the
// sentences follows without the texts. Kept as the artifact `sentence_scores` of an evaluation (docs/EVALUATION.md).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::model {

// Columns of a row, by metric:
//   bleu        matches of 1- to 4-grams, 1- to 4-grams of the hypothesis, its length, the reference's length (10)
//   rouge       F1 of ROUGE-1, ROUGE-2 and ROUGE-L, from 0 to 1 (3)
//   wer         edits, words of the reference (2)
//   perplexity  NLL in nats, words and line ends, target tokens (3; a row is a window of text)
using SentenceRow = std::vector<double>;

struct SplitSentences {
  std::string split;
  std::vector<SentenceRow> rows;  // in the split's order
};

struct SentenceScores {
  std::string metric;  // bleu, rouge, wer or perplexity
  std::vector<SplitSentences> splits;
};

// The values that a metric's rows give: {"bleu"}, {"rouge1", "rouge2", "rougeL"}, {"wer"}, {"perplexity", "nll"}. The
// first is the one that a comparison goes by unless told. Throws std::invalid_argument for a metric that has no rows.
const std::vector<std::string>& ValuesOf(std::string_view metric);
bool HigherIsBetter(std::string_view value);

// The corpus score of the rows with these numbers, a number counting as often as it stands there; without `indices` of
// all rows. In percent (bleu, rouge1, rouge2, rougeL, wer), by word (perplexity), or in nats a target token (nll).
// Throws std::invalid_argument for an unknown value or a row of another width. O(indices).
double CorpusScore(std::string_view value, std::span<const SentenceRow> rows, std::span<const uint32_t> indices);
double CorpusScore(std::string_view value, std::span<const SentenceRow> rows);
// The unweighted mean over the splits.
double CorpusScore(std::string_view value, const SentenceScores& scores);

// One JSON object a line: {"format": 1, "metric", "splits": [{"split", "sentences"}]}, then one array a row, split
// after split. Doubles are written so that they are read back the same.
std::string ToJsonLines(const SentenceScores& scores);
// Throws std::invalid_argument naming the line for what ToJsonLines does not write.
SentenceScores ParseSentenceScores(std::string_view json_lines);

}  // namespace strata::model
