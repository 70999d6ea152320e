#include "model/diagnostics/layer_health.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace strata::model {

std::vector<double> LayerVerdicts(const std::vector<double>& norms) {
  std::vector<double> verdicts;
  for (const double norm : norms) {
    const double last = norms.back();
    const bool explodes = !std::isfinite(norm) || norm > kExplodes * last;
    const bool vanishes = norm == 0 || norm < kVanishes * last;
    verdicts.push_back(explodes ? 1 : vanishes ? -1 : 0);
  }
  return verdicts;
}

double GradientSpread(const std::vector<double>& norms) {
  double spread = 0;
  for (const double norm : norms) {
    const double decades = std::abs(std::log10(norm / norms.back()));
    spread = std::max(spread, std::isfinite(decades) ? decades : std::numeric_limits<double>::infinity());
  }
  return spread;
}

}  // namespace strata::model
