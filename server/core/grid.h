// From a grid to its cells. Pure strings: the caller gives canonical field names and values, applies the cells to a
// TrialSpec, and validates that.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::core {

using Setting = std::pair<std::string, std::string>;  // field, value
using Cell = std::vector<Setting>;                    // each field once; in order of axes, then as set

struct Axis {
  std::string field;
  std::vector<std::string> values;
};

struct Override {
  Cell when;  // cells that have all of these; empty: all cells
  Cell set;
};

struct GridSpec {
  std::vector<Axis> axes;  // their product; the last varies fastest. None: one cell without settings, or only `include`
  std::vector<Cell> include;  // added behind the product, untouched by `exclude`
  std::vector<Cell> exclude;  // taken out of the product: cells that have all settings of any of these
  std::vector<Override>
      overrides;  // applied in order to every cell, included ones too; a later one sees what an earlier one set
  std::map<std::string, std::string> base;  // values of fields that cells do not set, for `when`
};

inline constexpr int64_t kMostTrials = 10'000;

// The cells in the order in which trials are made.
// InvalidArgument, naming field and value: an axis twice or without values, a value twice, an exclude that takes
// nothing out, a `when` that no cell can meet, two equal cells. ResourceExhausted: more than `limit` cells, with the
// count.
absl::StatusOr<std::vector<Cell>> ExpandGrid(const GridSpec& grid, int64_t limit = kMostTrials);

}  // namespace strata::core
