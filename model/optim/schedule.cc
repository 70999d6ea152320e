#include "model/optim/schedule.h"

#include <cmath>

namespace strata::model {

double InverseSquareRoot::At(int64_t done) const {
  const auto n = static_cast<double>(done);
  const auto warm = static_cast<double>(warmup);
  if (done < warmup) return initial + n * (peak - initial) / warm;
  return peak * std::sqrt(warm) / std::sqrt(n);
}

double InverseSquareRootNoWarmup::At(int64_t done) const {
  const auto n = static_cast<double>(done), p = static_cast<double>(offset);
  return peak * std::sqrt(p / (p + n));
}

}  // namespace strata::model
