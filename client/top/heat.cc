#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/top/plot.h"

namespace strata::client::top {
namespace {

constexpr size_t kAxis = 4;    // columns of the layers' numbers at the left
constexpr size_t kWidest = 4;  // columns of one measurement, while there are few

// What falls in one cell.
struct Bin {
  double sum = 0;
  int counted = 0;
  bool zero = false, broken = false;
  void Take(double value) {
    if (!std::isfinite(value)) {
      broken = true;
    } else if (value <= 0) {
      zero = true;
    } else {
      sum += std::log10(value);
      ++counted;
    }
  }
};

double Fraction(double log, const LogRange& range) {
  return range.high > range.low ? std::clamp((log - range.low) / (range.high - range.low), 0.0, 1.0) : 0.5;
}

void PutBin(const Bin& bin, const LogRange& range, const Signs& signs, size_t row, size_t column, Screen& screen) {
  if (bin.broken) {
    screen.PutGlyph(row, column, U'!', Style::kFailed);
  } else if (bin.counted == 0) {
    if (bin.zero) screen.PutGlyph(row, column, U'0', Style::kDiverged);
  } else {
    const double fraction = Fraction(bin.sum / bin.counted, range);
    const auto of = [&](size_t steps) {
      return std::min(steps - 1, static_cast<size_t>(fraction * static_cast<double>(steps)));
    };
    screen.PutGlyph(row, column, signs.heat[of(signs.heat.size())], Heat(static_cast<int>(of(kHeatLevels))));
  }
}

}  // namespace

LogRange RangeOf(const std::vector<const Measured::Rows*>& stacks) {
  LogRange range;
  for (const Measured::Rows* rows : stacks) {
    for (const auto& values : rows->values) {
      for (const double value : values) {
        if (!std::isfinite(value) || value <= 0) continue;
        const double log = std::log10(value);
        range.low = range.empty ? log : std::min(range.low, log);
        range.high = range.empty ? log : std::max(range.high, log);
        range.empty = false;
      }
    }
  }
  return range;
}

void DrawHeat(const std::string& title, const Measured::Rows& rows, const LogRange& range, const Signs& signs,
              Area area, Screen& screen) {
  if (area.rows < 3 || area.columns < kAxis + 8 || rows.values.empty()) return;
  size_t layers = 0;
  for (const auto& values : rows.values) layers = std::max(layers, values.size());
  if (layers == 0) return;
  screen.Put(area.row, area.column, title, Style::kDim, area.column + area.columns);
  const size_t height = std::min(area.rows - 2, layers),
               width = std::min(area.columns - kAxis, rows.values.size() * kWidest);
  const auto layer_of = [&](size_t line) { return line * layers / height; };
  for (size_t line = 0; line < height; ++line) {  // line 0: the first layers, drawn lowest
    const size_t row = area.row + height - line;
    const size_t first = layer_of(line), behind = std::max(first + 1, layer_of(line + 1));
    screen.Put(row, area.column, absl::StrFormat("%3d", behind), Style::kDim);
    for (size_t column = 0; column < width; ++column) {
      const size_t begin = column * rows.values.size() / width;
      const size_t end = std::max(begin + 1, (column + 1) * rows.values.size() / width);
      Bin bin;
      for (size_t i = begin; i < end; ++i) {
        for (size_t layer = first; layer < std::min(behind, rows.values[i].size()); ++layer)
          bin.Take(rows.values[i][layer]);
      }
      PutBin(bin, range, signs, row, area.column + kAxis + column, screen);
    }
  }
  const std::string from = absl::StrCat(rows.updates.front()), to = absl::StrCat(rows.updates.back());
  const size_t axis = area.row + height + 1;
  screen.Put(axis, area.column + kAxis, from, Style::kDim);
  const size_t right = area.column + kAxis + std::max(width, from.size() + 1 + to.size());
  screen.Put(axis, right - to.size(), to, Style::kDim, area.column + area.columns);
}

void DrawScale(const LogRange& range, const Signs& signs, size_t row, size_t column, Screen& screen) {
  if (range.empty) return;
  column = screen.Put(row, column, absl::StrFormat("%.2g ", std::pow(10, range.low)), Style::kDim);
  for (int level = 0; level < kHeatLevels; ++level) {
    screen.PutGlyph(row, column++, signs.heat[static_cast<size_t>(level) * signs.heat.size() / kHeatLevels],
                    Heat(level));
  }
  screen.Put(row, column, absl::StrFormat(" %.2g", std::pow(10, range.high)), Style::kDim);
}

}  // namespace strata::client::top
