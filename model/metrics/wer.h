// Word error rate exactly as jiwer 4.0.0 computes it with its default transforms: all edits over all words of the
// references. tests/metrics holds it equal to the real package.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace strata::model {

// Of one line, or summed over lines.
struct WordErrors {
  int64_t edits = 0;  // substitutions, insertions and deletions: the least that make the one line the other
  int64_t reference_words = 0;

  WordErrors& operator+=(const WordErrors& other);
  // In percent; may exceed 100. Of references without any word it is 100 an edit, as in jiwer.
  double Score() const;
};

// O(words of the one x words of the other). No normalisation: case and punctuation count.
WordErrors CountWordErrors(std::string_view hypothesis, std::string_view reference);

// jiwer's words: what stands between spaces (U+0020), after white space is taken off both ends and every run of two or
// more white-space characters has become one space. A single tab or U+00A0 inside a line is thus part of a word.
std::vector<std::string_view> WerWords(std::string_view line);

}  // namespace strata::model
