// Plots of a terminal's cells: a curve in braille (or ASCII), a heat map of layers by update.
#pragma once

#include <string>
#include <vector>

#include "client/top/knowledge.h"
#include "client/top/screen.h"

namespace strata::client::top {

struct Area {
  size_t row = 0, column = 0, rows = 0, columns = 0;
};

// Draws `line` joined up and `marks` as single signs over it, with an axis of values at the left and of updates below.
// Values that are not finite are left out. Needs 4 rows and 16 columns, else draws nothing.
void DrawCurve(const Measured::Curve& line, const Measured::Curve& marks, const Signs& signs, Area area,
               Screen& screen);

// The range of log10 of the finite, positive values of all rows.
struct LogRange {
  double low = 0, high = 0;
  bool empty = true;
};
LogRange RangeOf(const std::vector<const Measured::Rows*>& stacks);

// Draws layers from the last (above) to the first by update, log10 of each value over `range`; '0' for zeros, '!' for
// what is not finite. Where there are more layers or updates than cells, a cell shows the mean logarithm of those that
// fall in it. `title` stands above.
void DrawHeat(const std::string& title, const Measured::Rows& rows, const LogRange& range, const Signs& signs,
              Area area, Screen& screen);

// The scale in one line: "1e-05 ░▒▓█ 12".
void DrawScale(const LogRange& range, const Signs& signs, size_t row, size_t column, Screen& screen);

}  // namespace strata::client::top
