// ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) exactly as rouge-score 0.1.2 computes them without stemming and with one
// reference; a corpus score is the mean over its lines. tests/metrics holds it equal to the real package.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace strata::model {

// F1, from 0 to 1. A side without a token has 0.
struct RougeScore {
  double rouge1 = 0, rouge2 = 0, rougeL = 0;
};

// Of one line and its reference, both UTF-8. O(tokens of the one x tokens of the other).
RougeScore Rouge(std::string_view hypothesis, std::string_view reference);

// The package's tokens: runs of a-z and 0-9 after lower-casing. Other letters only divide tokens; but U+0130 and
// U+212A, whose lower case begins with i and k, count as those.
std::vector<std::string> RougeTokens(std::string_view line);

}  // namespace strata::model
