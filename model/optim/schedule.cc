#include "model/optim/schedule.h"

#include <cmath>

namespace strata::model {

double InverseSquareRoot::At(int64_t done) const {
  const auto n = static_cast<double>(done);
  const auto warm = static_cast<double>(warmup);
  if (done < warmup) return initial + n * (peak - initial) / warm;
  return peak * std::sqrt(warm) / std::sqrt(n);
}

}  // namespace strata::model
