#include "model/metrics/rouge.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

namespace strata::model {
namespace {

constexpr std::string_view kDottedCapitalI = "\u0130", kKelvin = "\u212a";

using Ids = std::vector<int64_t>;

// The tokens of both lines as numbers: equal where the tokens are.
Ids Numbered(const std::vector<std::string>& tokens, std::unordered_map<std::string, int64_t>* numbers) {
  Ids ids;
  ids.reserve(tokens.size());
  for (const std::string& token : tokens) {
    ids.push_back(numbers->emplace(token, static_cast<int64_t>(numbers->size())).first->second);
  }
  return ids;
}

double F1(double precision, double recall) {
  return precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
}

// Divides as the package does: n-grams of nothing are counted as one.
double F1(size_t common, size_t in_hypothesis, size_t in_reference) {
  return F1(static_cast<double>(common) / static_cast<double>(std::max<size_t>(in_hypothesis, 1)),
            static_cast<double>(common) / static_cast<double>(std::max<size_t>(in_reference, 1)));
}

// The n-grams of a line, each one number, sorted.
Ids SortedNgrams(const Ids& tokens, size_t order, int64_t known) {
  Ids ngrams;
  for (size_t i = 0; i + order <= tokens.size(); ++i) {
    int64_t ngram = 0;
    for (size_t j = i; j < i + order; ++j) ngram = ngram * known + tokens[j];
    ngrams.push_back(ngram);
  }
  std::sort(ngrams.begin(), ngrams.end());
  return ngrams;
}

double NgramF1(const Ids& hypothesis, const Ids& reference, size_t order, int64_t known) {
  const Ids ours = SortedNgrams(hypothesis, order, known), theirs = SortedNgrams(reference, order, known);
  Ids common;
  std::set_intersection(ours.begin(), ours.end(), theirs.begin(), theirs.end(), std::back_inserter(common));
  return F1(common.size(), ours.size(), theirs.size());
}

size_t LongestCommonSubsequence(const Ids& a, const Ids& b) {
  std::vector<size_t> row(b.size() + 1);  // of the table of lengths
  for (const int64_t token : a) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = token == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> RougeTokens(std::string_view line) {
  std::vector<std::string> tokens;
  std::string token;
  const auto end = [&] {
    if (!token.empty()) tokens.push_back(std::move(token));
    token.clear();
  };
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
      token += c;
    } else if (c >= 'A' && c <= 'Z') {
      token += static_cast<char>(c - 'A' + 'a');
    } else if (line.substr(i).starts_with(kKelvin)) {
      token += 'k';
      i += kKelvin.size() - 1;
    } else {
      if (line.substr(i).starts_with(kDottedCapitalI)) token += 'i';  // its dot is a character of its own
      end();
    }
  }
  end();
  return tokens;
}

RougeScore Rouge(std::string_view hypothesis, std::string_view reference) {
  std::unordered_map<std::string, int64_t> numbers;
  const Ids ours = Numbered(RougeTokens(hypothesis), &numbers);
  const Ids theirs = Numbered(RougeTokens(reference), &numbers);
  const auto known = static_cast<int64_t>(numbers.size());
  return {.rouge1 = NgramF1(ours, theirs, 1, known),
          .rouge2 = NgramF1(ours, theirs, 2, known),
          .rougeL = F1(LongestCommonSubsequence(ours, theirs), ours.size(), theirs.size())};
}

}  // namespace strata::model
