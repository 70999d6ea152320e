// Corpus BLEU exactly as sacreBLEU 2 computes it with its defaults and one reference:
// nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp (Post, "A Call for Clarity in Reporting BLEU Scores").
// tests/metrics holds it equal to the real sacreBLEU.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::model {

inline constexpr int kBleuOrder = 4;
inline constexpr std::string_view kBleuSignature = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp";

struct BleuScore {
  double score = 0;                             // percent, unrounded
  std::array<double, kBleuOrder> precisions{};  // percent, smoothed
  double brevity_penalty = 1;
  int64_t hypothesis_length = 0;  // tokens
  int64_t reference_length = 0;
};

// Sufficient statistics: sums over sentences, so that parts of a corpus can be added up.
struct BleuCounts {
  std::array<int64_t, kBleuOrder> correct{};
  std::array<int64_t, kBleuOrder> total{};
  int64_t hypothesis_length = 0;
  int64_t reference_length = 0;

  // Adds one sentence and its reference, both detokenised UTF-8.
  void Add(std::string_view hypothesis, std::string_view reference);
  BleuCounts& operator+=(const BleuCounts& other);
  BleuScore Score() const;

  // The same as numbers: correct, total, hypothesis_length, reference_length (kBleuRow of them).
  std::vector<double> Row() const;
  static BleuCounts FromRow(std::span<const double> row);
};
inline constexpr size_t kBleuRow = 2 * kBleuOrder + 2;

// kBleuSignature with the version of sacreBLEU that tests hold the scores equal to.
std::string BleuSignature();

// Throws std::invalid_argument when the numbers of lines differ or there are none.
BleuScore Bleu(std::span<const std::string> hypotheses, std::span<const std::string> references);

// The 13a tokenisation of a line, tokens joined by single spaces.
std::string Tokenize13a(std::string_view line);

}  // namespace strata::model
