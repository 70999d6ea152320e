#include "model/metrics/text_scores.h"

#include <stdexcept>

#include "model/metrics/bleu.h"
#include "model/metrics/rouge.h"
#include "model/metrics/wer.h"

namespace strata::model {
namespace {

SentenceRow BleuRow(std::string_view hypothesis, std::string_view reference) {
  BleuCounts counts;
  counts.Add(hypothesis, reference);
  return counts.Row();
}

SentenceRow RougeRow(std::string_view hypothesis, std::string_view reference) {
  const RougeScore score = Rouge(hypothesis, reference);
  return {score.rouge1, score.rouge2, score.rougeL};
}

SentenceRow WerRow(std::string_view hypothesis, std::string_view reference) {
  const WordErrors errors = CountWordErrors(hypothesis, reference);
  return {static_cast<double>(errors.edits), static_cast<double>(errors.reference_words)};
}

// What there is beside the values that follow from the rows.
void NoMore(const std::vector<SentenceRow>&, std::map<std::string, double>*) {}
void BleuParts(const std::vector<SentenceRow>& rows, std::map<std::string, double>* values) {
  BleuCounts counts;
  for (const SentenceRow& row : rows) counts += BleuCounts::FromRow(row);
  const BleuScore bleu = counts.Score();
  (*values)["bleu_brevity_penalty"] = bleu.brevity_penalty;
  for (size_t n = 0; n < bleu.precisions.size(); ++n) {
    (*values)["bleu_precision_" + std::to_string(n + 1)] = bleu.precisions[n];
  }
}

struct TextMetric {
  std::string name, signature;
  SentenceRow (*row)(std::string_view hypothesis, std::string_view reference);
  void (*more)(const std::vector<SentenceRow>& rows, std::map<std::string, double>* values);
};

const std::vector<TextMetric>& Metrics() {
  static const std::vector<TextMetric> metrics = {
      {"bleu", BleuSignature(), BleuRow, BleuParts},
      {"rouge", "nrefs:1|case:lower|stem:no|score:f1|mean:lines|version:rouge-score-0.1.2", RougeRow, NoMore},
      {"wer", "nrefs:1|case:mixed|transforms:default|total:corpus|version:jiwer-4.0.0", WerRow, NoMore},
  };
  return metrics;
}

const TextMetric& Find(std::string_view name) {
  std::string known;
  for (const TextMetric& metric : Metrics()) {
    if (metric.name == name) return metric;
    known += (known.empty() ? "" : ", ") + metric.name;
  }
  throw std::invalid_argument("\"" + std::string(name) + "\" does not score texts. Choose one of: " + known + ".");
}

}  // namespace

std::vector<std::string> TextMetrics() {
  std::vector<std::string> names;
  for (const TextMetric& metric : Metrics()) names.push_back(metric.name);
  return names;
}

std::string MetricSignature(std::string_view metric) { return Find(metric).signature; }

TextScores ScoreTexts(std::string_view metric, std::span<const std::string> hypotheses,
                      std::span<const std::string> references) {
  const TextMetric& how = Find(metric);
  if (hypotheses.size() != references.size()) {
    throw std::invalid_argument("There are " + std::to_string(hypotheses.size()) + " hypotheses and " +
                                std::to_string(references.size()) + " references. Give one reference a line.");
  }
  if (hypotheses.empty()) throw std::invalid_argument("There are no lines to score. Give at least one.");
  TextScores scores;
  for (size_t i = 0; i < hypotheses.size(); ++i) scores.rows.push_back(how.row(hypotheses[i], references[i]));
  for (const std::string& value : ValuesOf(metric)) scores.values[value] = CorpusScore(value, scores.rows);
  how.more(scores.rows, &scores.values);
  return scores;
}

}  // namespace strata::model
