// Rows of upkeep: what refers to what, and how much room measurements take.
#pragma once

#include <cstdint>
#include <string>

namespace strata::store {

// A trial that refers to something of another experiment.
struct Reference {
  std::string from;  // the trial
  std::string how;   // reused_from, extended_from, or shows (a job)
  std::string to;    // a trial or a job
  bool operator==(const Reference&) const = default;
};

// Rows of measurements of a job, and about how many bytes they take.
struct MeasurementSize {
  std::string job;
  int64_t scalars = 0, scalar_bytes = 0;
  int64_t vectors = 0, vector_bytes = 0;
};

}  // namespace strata::store
