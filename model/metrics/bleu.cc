#include "model/metrics/bleu.h"

#include <cmath>
#include <stdexcept>
#include <unordered_map>
#include <vector>

#include "model/metrics/text.h"

namespace strata::model {
namespace {

std::string Replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsPoint(char c) { return c == '.' || c == ','; }

// mteval-v13a's class of ASCII punctuation: all but ' , - . and letters and digits. The space is in it.
bool IsPunctuation(char c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') ||
         (c >= ':' && c <= '@') || c == '/';
}

// Scans for non-overlapping pairs of characters, left to right, and writes each pair that matches as before + first +
// between + second + after. Bytes do for characters: what can match beside a point or dash is ASCII or a whole sequence
// of non-digits, of which the byte next to it stands for the rest.
template <typename Match>
std::string SpacePairs(std::string_view text, std::string_view before, std::string_view between, std::string_view after,
                       Match match) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !match(text[i], text[i + 1])) {
      out += text[i];
      continue;
    }
    out += before;
    out += text[i];
    out += between;
    out += text[++i];
    out += after;
  }
  return out;
}

std::string Separated(std::string_view line) {
  std::string text;
  text.reserve(line.size() * 3 / 2);
  for (const char c : line) {
    if (IsPunctuation(c)) {
      text += ' ';
      text += c;
      text += ' ';
    } else {
      text += c;
    }
  }
  text = SpacePairs(text, "", " ", " ", [](char a, char b) { return !IsDigit(a) && IsPoint(b); });
  text = SpacePairs(text, " ", " ", "", [](char a, char b) { return IsPoint(a) && !IsDigit(b); });
  return SpacePairs(text, "", " ", " ", [](char a, char b) { return IsDigit(a) && b == '-'; });
}

using Ngrams = std::unordered_map<std::string, int64_t>;

Ngrams CountNgrams(const std::vector<std::string_view>& tokens, size_t order) {
  Ngrams counts;
  for (size_t i = 0; i + order <= tokens.size(); ++i) {
    std::string ngram;
    for (size_t j = i; j < i + order; ++j) {
      ngram += tokens[j];
      ngram += ' ';  // no token holds one
    }
    ++counts[std::move(ngram)];
  }
  return counts;
}

double LogOrVerySmall(double x) { return x == 0.0 ? -9999999999.0 : std::log(x); }

}  // namespace

std::string Tokenize13a(std::string_view line) {
  std::string text = Replaced(std::string(line), "<skipped>", "");
  text = Replaced(std::move(text), "-\n", "");
  text = Replaced(std::move(text), "\n", " ");
  text = Replaced(std::move(text), "&quot;", "\"");
  text = Replaced(std::move(text), "&amp;", "&");
  text = Replaced(std::move(text), "&lt;", "<");
  text = Replaced(std::move(text), "&gt;", ">");
  std::string joined;
  for (const std::string_view token : SplitAtSpaces(text = Separated(" " + text + " "))) {
    if (!joined.empty()) joined += ' ';
    joined += token;
  }
  return joined;
}

void BleuCounts::Add(std::string_view hypothesis, std::string_view reference) {
  const std::string hypothesis_text = Tokenize13a(WithoutTrailingSpace(hypothesis));
  const std::string reference_text = Tokenize13a(WithoutTrailingSpace(reference));
  const std::vector<std::string_view> hypothesis_tokens = SplitAtSpaces(hypothesis_text);
  const std::vector<std::string_view> reference_tokens = SplitAtSpaces(reference_text);
  hypothesis_length += static_cast<int64_t>(hypothesis_tokens.size());
  reference_length += static_cast<int64_t>(reference_tokens.size());
  for (size_t order = 1; order <= kBleuOrder && order <= hypothesis_tokens.size(); ++order) {
    const Ngrams in_reference = CountNgrams(reference_tokens, order);
    for (const auto& [ngram, count] : CountNgrams(hypothesis_tokens, order)) {
      total[order - 1] += count;
      const auto found = in_reference.find(ngram);
      if (found != in_reference.end()) correct[order - 1] += std::min(count, found->second);
    }
  }
}

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (int n = 0; n < kBleuOrder; ++n) {
    correct[n] += other.correct[n];
    total[n] += other.total[n];
  }
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  return *this;
}

BleuScore BleuCounts::Score() const {
  BleuScore result{.hypothesis_length = hypothesis_length, .reference_length = reference_length};
  if (hypothesis_length < reference_length) {
    const double ratio = static_cast<double>(reference_length) / static_cast<double>(hypothesis_length);
    result.brevity_penalty = hypothesis_length > 0 ? std::exp(1 - ratio) : 0.0;
  }
  if (correct == std::array<int64_t, kBleuOrder>{}) return result;
  double smooth = 1;
  for (int n = 0; n < kBleuOrder && total[n] > 0; ++n) {
    if (correct[n] == 0) smooth *= 2;
    result.precisions[n] = correct[n] == 0 ? 100. / (smooth * static_cast<double>(total[n]))
                                           : 100. * static_cast<double>(correct[n]) / static_cast<double>(total[n]);
  }
  double sum = 0;
  for (const double p : result.precisions) sum += LogOrVerySmall(p);
  result.score = result.brevity_penalty * std::exp(sum / kBleuOrder);
  return result;
}

std::vector<double> BleuCounts::Row() const {
  std::vector<double> row(correct.begin(), correct.end());
  row.insert(row.end(), total.begin(), total.end());
  row.push_back(static_cast<double>(hypothesis_length));
  row.push_back(static_cast<double>(reference_length));
  return row;
}

BleuCounts BleuCounts::FromRow(std::span<const double> row) {
  BleuCounts counts;
  for (size_t n = 0; n < kBleuOrder; ++n) {
    counts.correct[n] = std::llround(row[n]);
    counts.total[n] = std::llround(row[kBleuOrder + n]);
  }
  counts.hypothesis_length = std::llround(row[2 * kBleuOrder]);
  counts.reference_length = std::llround(row[2 * kBleuOrder + 1]);
  return counts;
}

std::string BleuSignature() { return std::string(kBleuSignature) + "|version:2.6.0"; }

BleuScore Bleu(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  if (hypotheses.size() != references.size()) {
    throw std::invalid_argument("BLEU needs one reference a hypothesis: there are " +
                                std::to_string(hypotheses.size()) + " hypotheses and " +
                                std::to_string(references.size()) + " references.");
  }
  if (hypotheses.empty()) throw std::invalid_argument("BLEU of no lines is not defined. Give at least one line.");
  BleuCounts counts;
  for (size_t i = 0; i < hypotheses.size(); ++i) counts.Add(hypotheses[i], references[i]);
  return counts.Score();
}

}  // namespace strata::model
