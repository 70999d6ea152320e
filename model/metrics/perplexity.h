// Perplexity of text under a language model, by word: exp(total NLL / (words + line ends)), so that vocabularies of any
// kind compare. Words are runs between white space (Unicode's).
#pragma once

#include <cstdint>
#include <string_view>

namespace strata::model {

struct TextSize {
  uint64_t words = 0, lines = 0;
  // What the NLL is divided by.
  uint64_t units() const { return words + lines; }
};

// Lines end at \n only; a last line needs none. `most` lines at most; 0: all. Empty lines count.
TextSize MeasureText(std::string_view text, uint64_t most = 0);

// Of a total in nats. NaN where there are no units.
double Perplexity(double total_nll, double units);

}  // namespace strata::model
