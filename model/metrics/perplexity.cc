#include "model/metrics/perplexity.h"

#include <cmath>
#include <limits>

#include "model/metrics/text.h"

namespace strata::model {

TextSize MeasureText(std::string_view text, uint64_t most) {
  TextSize size;
  for (const std::string_view line : Lines(text)) {
    if (most != 0 && size.lines == most) break;
    ++size.lines;
    size.words += SplitAtSpaces(line).size();
  }
  return size;
}

double Perplexity(double total_nll, double units) {
  return units > 0 ? std::exp(total_nll / units) : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace strata::model
