#include "model/metrics/wer.h"

#include <algorithm>

#include "model/metrics/text.h"

namespace strata::model {

WordErrors& WordErrors::operator+=(const WordErrors& other) {
  edits += other.edits;
  reference_words += other.reference_words;
  return *this;
}

double WordErrors::Score() const {
  const auto words = static_cast<double>(std::max<int64_t>(reference_words, 1));
  return 100 * static_cast<double>(edits) / words;
}

std::vector<std::string_view> WerWords(std::string_view line) {
  line = WithoutTrailingSpace(line);
  while (const size_t space = SpaceAtFront(line)) line.remove_prefix(space);
  std::vector<std::string_view> words;
  size_t start = 0, at = 0;
  while (at < line.size()) {
    const size_t run = at;
    int characters = 0;
    while (const size_t space = SpaceAtFront(line.substr(at))) {
      at += space;
      ++characters;
    }
    if (characters == 0) {
      ++at;
    } else if (characters > 1 || line[run] == ' ') {
      words.push_back(line.substr(start, run - start));
      start = at;
    }
  }
  if (start < line.size()) words.push_back(line.substr(start));
  return words;
}

WordErrors CountWordErrors(std::string_view hypothesis, std::string_view reference) {
  const std::vector<std::string_view> ours = WerWords(hypothesis), theirs = WerWords(reference);
  std::vector<int64_t> row(theirs.size() + 1);  // of the table of edit distances
  for (size_t j = 0; j <= theirs.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 0; i < ours.size(); ++i) {
    int64_t diagonal = row[0]++;
    for (size_t j = 1; j <= theirs.size(); ++j) {
      const int64_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (ours[i] == theirs[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return {.edits = row.back(), .reference_words = static_cast<int64_t>(theirs.size())};
}

}  // namespace strata::model
