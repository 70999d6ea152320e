// The learning rate of each update. Plain C++.
#pragma once

#include <cstdint>

namespace strata::model {

// fairseq's inverse square root: linear from `initial` to `peak` over `warmup` updates, then peak * sqrt(warmup / n).
// warmup >= 1.
struct InverseSquareRoot {
  double peak = 1e-3;
  int64_t warmup = 4000;
  double initial = 1e-7;

  // The rate of update number `done` + 1, when `done` >= 0 updates lie behind: the first update runs at `initial`.
  double At(int64_t done) const;
};

// T-Fixup's, without a warm-up: peak * sqrt(offset / (offset + n)). offset >= 1.
struct InverseSquareRootNoWarmup {
  double peak = 1e-3;
  int64_t offset = 4000;

  // As above: the first update runs at `peak`.
  double At(int64_t done) const;
};

}  // namespace strata::model
