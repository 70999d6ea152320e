#include "server/core/grid.h"

#include <algorithm>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace strata::core {
namespace {

// A product may be this much larger than the limit, as long as `exclude` brings it down: beyond that it is not even
// counted out.
constexpr int64_t kEnumerable = 1'000'000;

std::string Print(const Cell& cell) {
  if (cell.empty()) return "(no settings)";
  return absl::StrJoin(cell, ", ",
                       [](std::string* out, const Setting& s) { absl::StrAppend(out, s.first, ": ", s.second); });
}

const std::string* Find(const Cell& cell, const std::string& field) {
  for (const auto& [name, value] : cell) {
    if (name == field) return &value;
  }
  return nullptr;
}

void Set(Cell* cell, const Setting& setting) {
  for (auto& [name, value] : *cell) {
    if (name == setting.first) {
      value = setting.second;
      return;
    }
  }
  cell->push_back(setting);
}

// True when `cell`, or else `base`, has every setting of `pattern`.
bool Matches(const Cell& cell, const std::map<std::string, std::string>& base, const Cell& pattern) {
  return std::all_of(pattern.begin(), pattern.end(), [&](const Setting& wanted) {
    if (const std::string* value = Find(cell, wanted.first)) return *value == wanted.second;
    const auto at = base.find(wanted.first);
    return at != base.end() && at->second == wanted.second;
  });
}

absl::Status CheckOnce(const Cell& cell, const std::string& where) {
  std::set<std::string> fields;
  for (const auto& [field, value] : cell) {
    if (!fields.insert(field).second) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": ", field, " is set twice. Give it one value."));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAxes(const std::vector<Axis>& axes) {
  std::set<std::string> fields;
  for (const Axis& axis : axes) {
    if (!fields.insert(axis.field).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("grid.", axis.field, " stands twice. Write its values in one list."));
    }
    if (axis.values.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("grid.", axis.field, " has no values. Give it at least one, or leave it out."));
    }
    std::set<std::string> values;
    for (const std::string& value : axis.values) {
      if (!values.insert(value).second) {
        return absl::InvalidArgumentError(
            absl::StrCat("grid.", axis.field, ": ", value, " stands twice. To train it again, vary the seed."));
      }
    }
  }
  return absl::OkStatus();
}

// Cells of the product, or the greatest int64 where there are more.
int64_t Product(const GridSpec& grid) {
  if (grid.axes.empty()) return grid.include.empty() ? 1 : 0;
  int64_t count = 1;
  for (const Axis& axis : grid.axes) {
    if (__builtin_mul_overflow(count, static_cast<int64_t>(axis.values.size()), &count)) {
      return std::numeric_limits<int64_t>::max();
    }
  }
  return count;
}

absl::Status TooMany(int64_t count, int64_t limit) {
  const bool uncounted = count == std::numeric_limits<int64_t>::max();
  return absl::ResourceExhaustedError(absl::StrCat("The grid has ", uncounted ? "more than " : "", count,
                                                   " trials; an experiment may have ", limit,
                                                   ". Take values out of an axis, or submit it in parts."));
}

std::vector<Cell> Enumerate(const GridSpec& grid, int64_t product) {
  std::vector<Cell> cells;
  cells.reserve(product);
  std::vector<size_t> at(grid.axes.size(), 0);
  for (int64_t i = 0; i < product; ++i) {
    Cell cell;
    for (size_t a = 0; a < at.size(); ++a) cell.emplace_back(grid.axes[a].field, grid.axes[a].values[at[a]]);
    cells.push_back(std::move(cell));
    for (size_t a = at.size(); a-- > 0;) {
      if (++at[a] < grid.axes[a].values.size()) break;
      at[a] = 0;
    }
  }
  return cells;
}

absl::Status Exclude(const GridSpec& grid, std::vector<Cell>* cells) {
  std::vector<bool> used(grid.exclude.size(), false);
  std::erase_if(*cells, [&](const Cell& cell) {
    bool out = false;
    for (size_t i = 0; i < grid.exclude.size(); ++i) {
      if (!Matches(cell, grid.base, grid.exclude[i])) continue;
      used[i] = out = true;
    }
    return out;
  });
  for (size_t i = 0; i < used.size(); ++i) {
    if (used[i]) continue;
    return absl::InvalidArgumentError(absl::StrCat("exclude ", i + 1, " (", Print(grid.exclude[i]),
                                                   ") takes no cell out. Use fields and values of the grid's axes."));
  }
  return absl::OkStatus();
}

absl::Status ApplyOverrides(const GridSpec& grid, std::vector<Cell>* cells) {
  for (size_t i = 0; i < grid.overrides.size(); ++i) {
    const Override& change = grid.overrides[i];
    const std::string where = absl::StrCat("overrides ", i + 1);
    if (const absl::Status status = CheckOnce(change.when, where + ".when"); !status.ok()) return status;
    if (const absl::Status status = CheckOnce(change.set, where + ".set"); !status.ok()) return status;
    if (change.set.empty()) return absl::InvalidArgumentError(absl::StrCat(where, ".set is empty. Say what to set."));
    bool used = false;
    for (Cell& cell : *cells) {
      if (!Matches(cell, grid.base, change.when)) continue;
      used = true;
      for (const Setting& setting : change.set) Set(&cell, setting);
    }
    if (!used) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ".when (", Print(change.when), ") fits no cell. Use fields and values that a cell has."));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckDistinct(const std::vector<Cell>& cells) {
  std::map<Cell, size_t> seen;
  for (size_t i = 0; i < cells.size(); ++i) {
    Cell sorted = cells[i];
    std::sort(sorted.begin(), sorted.end());
    const auto [at, inserted] = seen.emplace(std::move(sorted), i);
    if (inserted) continue;
    return absl::InvalidArgumentError(absl::StrCat("cells ", at->second + 1, " and ", i + 1,
                                                   " of the grid are the same (", Print(cells[i]),
                                                   "). Take one out of include or overrides."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Cell>> ExpandGrid(const GridSpec& grid, int64_t limit) {
  if (const absl::Status status = CheckAxes(grid.axes); !status.ok()) return status;
  const int64_t product = Product(grid);
  if (product > (grid.exclude.empty() ? limit : std::max(limit, kEnumerable))) return TooMany(product, limit);
  std::vector<Cell> cells = Enumerate(grid, product);
  if (const absl::Status status = Exclude(grid, &cells); !status.ok()) return status;
  for (size_t i = 0; i < grid.include.size(); ++i) {
    if (const absl::Status status = CheckOnce(grid.include[i], absl::StrCat("include ", i + 1)); !status.ok())
      return status;
    cells.push_back(grid.include[i]);
  }
  if (static_cast<int64_t>(cells.size()) > limit) return TooMany(static_cast<int64_t>(cells.size()), limit);
  if (cells.empty()) return absl::InvalidArgumentError("exclude takes every cell out of the grid. Leave at least one.");
  if (const absl::Status status = ApplyOverrides(grid, &cells); !status.ok()) return status;
  if (const absl::Status status = CheckDistinct(cells); !status.ok()) return status;
  return cells;
}

}  // namespace strata::core
