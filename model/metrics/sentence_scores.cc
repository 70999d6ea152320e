#include "model/metrics/sentence_scores.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "model/metrics/bleu.h"
#include "model/metrics/perplexity.h"
#include "model/metrics/text.h"
#include "model/metrics/wer.h"

namespace strata::model {
namespace {

using nlohmann::json;

constexpr int kFormat = 1;
using Sums = std::array<double, kBleuRow>;  // no metric has more columns

double BleuOf(const Sums& sums, double) { return BleuCounts::FromRow(sums).Score().score; }

template <size_t column>
double MeanOf(const Sums& sums, double count) {
  return 100 * sums[column] / count;
}

double WerOf(const Sums& sums, double) {
  return WordErrors{.edits = std::llround(sums[0]), .reference_words = std::llround(sums[1])}.Score();
}

double PerplexityOf(const Sums& sums, double) { return Perplexity(sums[0], sums[1]); }
double NllOf(const Sums& sums, double) { return sums[0] / sums[2]; }

struct Value {
  std::string name, metric;
  size_t columns;
  bool higher_is_better;
  double (*score)(const Sums& sums, double count);
};

const std::vector<Value>& Values() {
  static const std::vector<Value> values = {
      {"bleu", "bleu", kBleuRow, true, BleuOf}, {"rouge1", "rouge", 3, true, MeanOf<0>},
      {"rouge2", "rouge", 3, true, MeanOf<1>},  {"rougeL", "rouge", 3, true, MeanOf<2>},
      {"wer", "wer", 2, false, WerOf},          {"perplexity", "perplexity", 3, false, PerplexityOf},
      {"nll", "perplexity", 3, false, NllOf},
  };
  return values;
}

const Value& Find(std::string_view name) {
  std::string known;
  for (const Value& value : Values()) {
    if (value.name == name) return value;
    known += (known.empty() ? "" : ", ") + value.name;
  }
  throw std::invalid_argument("\"" + std::string(name) + "\" is no score. Choose one of: " + known + ".");
}

// Adds the rows that `number` gives for 0 .. count - 1.
template <typename Number>
double Score(const Value& value, std::span<const SentenceRow> rows, size_t count, Number number) {
  Sums sums{};
  for (size_t i = 0; i < count; ++i) {
    const SentenceRow& row = rows[number(i)];
    if (row.size() != value.columns) {
      throw std::invalid_argument("A row of sentence scores has " + std::to_string(row.size()) + " numbers, but " +
                                  value.metric + " has " + std::to_string(value.columns) + ".");
    }
    for (size_t column = 0; column < value.columns; ++column) sums[column] += row[column];
  }
  return value.score(sums, static_cast<double>(count));
}

std::string Text(double number) {
  if (std::isnan(number)) return "\"NaN\"";
  if (std::isinf(number)) return number > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, number).ptr};
}

double Number(const json& value) {
  if (value == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (value == "Infinity") return std::numeric_limits<double>::infinity();
  if (value == "-Infinity") return -std::numeric_limits<double>::infinity();
  return value.get<double>();
}

}  // namespace

const std::vector<std::string>& ValuesOf(std::string_view metric) {
  static const std::vector<std::pair<std::string, std::vector<std::string>>> by_metric = [] {
    std::vector<std::pair<std::string, std::vector<std::string>>> found;
    for (const Value& value : Values()) {
      if (found.empty() || found.back().first != value.metric) found.push_back({value.metric, {}});
      found.back().second.push_back(value.name);
    }
    return found;
  }();
  for (const auto& [name, values] : by_metric) {
    if (name == metric) return values;
  }
  throw std::invalid_argument("Metric \"" + std::string(metric) + "\" has no sentence scores.");
}

bool HigherIsBetter(std::string_view value) { return Find(value).higher_is_better; }

double CorpusScore(std::string_view value, std::span<const SentenceRow> rows, std::span<const uint32_t> indices) {
  return Score(Find(value), rows, indices.size(), [&](size_t i) { return indices[i]; });
}

double CorpusScore(std::string_view value, std::span<const SentenceRow> rows) {
  return Score(Find(value), rows, rows.size(), [](size_t i) { return i; });
}

double CorpusScore(std::string_view value, const SentenceScores& scores) {
  double sum = 0;
  for (const SplitSentences& split : scores.splits) sum += CorpusScore(value, split.rows);
  return sum / static_cast<double>(scores.splits.size());
}

std::string ToJsonLines(const SentenceScores& scores) {
  json splits = json::array();
  for (const SplitSentences& split : scores.splits) {
    splits.push_back({{"split", split.split}, {"sentences", split.rows.size()}});
  }
  std::string text = json{{"format", kFormat}, {"metric", scores.metric}, {"splits", splits}}.dump() + "\n";
  for (const SplitSentences& split : scores.splits) {
    for (const SentenceRow& row : split.rows) {
      for (size_t i = 0; i < row.size(); ++i) text += (i == 0 ? '[' : ',') + Text(row[i]);
      text += "]\n";
    }
  }
  return text;
}

SentenceScores ParseSentenceScores(std::string_view json_lines) {
  size_t line = 0;
  try {
    const std::vector<std::string_view> lines = Lines(json_lines);
    const auto next = [&] {
      if (line == lines.size()) throw std::invalid_argument("it ends too early");
      return json::parse(lines[line++]);
    };
    const json header = next();
    if (header.at("format") != kFormat) throw std::invalid_argument("another format");
    SentenceScores scores{.metric = header.at("metric")};
    const size_t columns = Find(ValuesOf(scores.metric).front()).columns;
    for (const json& about : header.at("splits")) {
      SplitSentences split{.split = about.at("split")};
      for (uint64_t sentences = about.at("sentences"); sentences > 0; --sentences) {
        SentenceRow row;
        for (const json& number : next()) row.push_back(Number(number));
        if (row.size() != columns) throw std::invalid_argument("a row of another width");
        split.rows.push_back(std::move(row));
      }
      scores.splits.push_back(std::move(split));
    }
    if (line != lines.size()) throw std::invalid_argument("there is more than the header says");
    return scores;
  } catch (const std::exception& error) {
    throw std::invalid_argument("Line " + std::to_string(line) + " of the sentence scores: " + error.what() +
                                ". Evaluate the trial anew.");
  }
}

}  // namespace strata::model
