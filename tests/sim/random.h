// Randomness of the simulation: the same on every machine for the same seed (splitmix64).
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace strata::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) { Next(); }

  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // From low to high, both included.
  int64_t Between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(Next() % static_cast<uint64_t>(high - low + 1));
  }
  absl::Duration Between(absl::Duration low, absl::Duration high) {
    return absl::Microseconds(Between(absl::ToInt64Microseconds(low), absl::ToInt64Microseconds(high)));
  }
  bool Chance(int per_mille) { return Between(0, 999) < per_mille; }

 private:
  uint64_t state_;
};

}  // namespace strata::sim
