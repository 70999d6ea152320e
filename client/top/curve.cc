#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/top/plot.h"

namespace strata::client::top {
namespace {

constexpr size_t kAxis = 8;  // columns of the values at the left

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void Take(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

// A raster of dots, two by four a cell as braille has them; in ASCII one by two.
class Raster {
 public:
  Raster(size_t rows, size_t columns, bool braille)
      : braille_(braille), across_(braille ? 2 : 1), down_(braille ? 4 : 2), columns_(columns), bits_(rows * columns) {}

  size_t width() const { return columns_ * across_; }
  size_t height() const { return bits_.size() / columns_ * down_; }

  void Dot(size_t x, size_t y) {
    static constexpr uint8_t kBraille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    bits_[y / down_ * columns_ + x / across_] |= braille_ ? kBraille[y % 4][x % 2] : static_cast<uint8_t>(1 << (y % 2));
  }
  // A vertical stroke, so that steep parts stay joined.
  void Stroke(size_t x, size_t from, size_t to) {
    for (size_t y = std::min(from, to); y <= std::max(from, to); ++y) Dot(x, y);
  }
  char32_t Glyph(size_t row, size_t column) const {
    const uint8_t bits = bits_[row * columns_ + column];
    if (bits == 0) return U' ';
    if (braille_) return U'\u2800' + bits;
    return bits == 1 ? U'\'' : bits == 2 ? U'.' : U':';
  }

 private:
  bool braille_;
  size_t across_, down_, columns_;
  std::vector<uint8_t> bits_;
};

struct Frame {
  Range x, y;
  // Dots of a raster: 0 left or top.
  size_t X(double update, size_t width) const { return Place((update - x.low) / Span(x), width); }
  size_t Y(double value, size_t height) const { return Place((y.high - value) / Span(y), height); }

 private:
  static double Span(const Range& range) { return range.high > range.low ? range.high - range.low : 1; }
  static size_t Place(double fraction, size_t dots) {
    return static_cast<size_t>(std::lround(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(dots - 1)));
  }
};

Frame FrameOf(const Measured::Curve& line, const Measured::Curve& marks) {
  Frame frame;
  frame.x.Take(0);
  for (const Measured::Curve* curve : {&line, &marks}) {
    for (const int update : curve->updates) frame.x.Take(update);
    for (const double value : curve->values) frame.y.Take(value);
  }
  return frame;
}

// The mean of the values that fall in each column of dots, joined by straight lines over columns without any.
void Trace(const Measured::Curve& line, const Frame& frame, Raster& raster) {
  std::vector<double> sums(raster.width());
  std::vector<int> counts(raster.width());
  for (size_t i = 0; i < line.values.size(); ++i) {
    if (!std::isfinite(line.values[i])) continue;
    const size_t x = frame.X(line.updates[i], raster.width());
    sums[x] += line.values[i];
    ++counts[x];
  }
  size_t before = SIZE_MAX;
  for (size_t x = 0; x < sums.size(); ++x) {
    if (counts[x] == 0) continue;
    const double value = sums[x] / counts[x];
    const size_t y = frame.Y(value, raster.height());
    if (before == SIZE_MAX) {
      raster.Dot(x, y);
    } else {
      const double from = sums[before] / counts[before];
      size_t last = frame.Y(from, raster.height());
      for (size_t step = before + 1; step <= x; ++step) {
        const double part = static_cast<double>(step - before) / static_cast<double>(x - before);
        const size_t now = frame.Y(from + (value - from) * part, raster.height());
        raster.Stroke(step, last, now);
        last = now;
      }
    }
    before = x;
  }
}

void DrawAxes(const Frame& frame, const Signs& signs, Area area, Screen& screen) {
  const size_t rows = area.rows - 1;
  for (size_t row = 0; row < rows; ++row)
    screen.Put(area.row + row, area.column + kAxis - 1, signs.column, Style::kDim);
  const auto label = [&](size_t row, double value) {
    const std::string text = std::abs(value) < 10000 ? absl::StrFormat("%.3f", value) : absl::StrFormat("%.1e", value);
    screen.Put(area.row + row, area.column, absl::StrFormat("%7s", text.substr(0, 7)), Style::kDim);
  };
  label(0, frame.y.high);
  if (rows > 4)
    label((rows - 1) / 2, frame.y.high - (frame.y.high - frame.y.low) * static_cast<double>((rows - 1) / 2) /
                                             static_cast<double>(rows - 1));
  label(rows - 1, frame.y.low);
  screen.Put(area.row + rows, area.column + kAxis, "0", Style::kDim);
  const std::string last = absl::StrCat("update ", static_cast<int64_t>(frame.x.high));
  if (area.columns > kAxis + last.size() + 2)
    screen.Put(area.row + rows, area.column + area.columns - last.size(), last, Style::kDim);
}

}  // namespace

void DrawCurve(const Measured::Curve& line, const Measured::Curve& marks, const Signs& signs, Area area,
               Screen& screen) {
  if (area.rows < 4 || area.columns < 16) return;
  const Frame frame = FrameOf(line, marks);
  if (frame.y.low > frame.y.high) return;  // nothing finite
  DrawAxes(frame, signs, area, screen);
  const size_t rows = area.rows - 1, columns = area.columns - kAxis;
  Raster raster(rows, columns, signs.unicode);
  Trace(line, frame, raster);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t column = 0; column < columns; ++column) {
      if (const char32_t glyph = raster.Glyph(row, column); glyph != U' ')
        screen.PutGlyph(area.row + row, area.column + kAxis + column, glyph, Style::kTrain);
    }
  }
  for (size_t i = 0; i < marks.values.size(); ++i) {
    if (!std::isfinite(marks.values[i])) continue;
    screen.Put(area.row + frame.Y(marks.values[i], rows), area.column + kAxis + frame.X(marks.updates[i], columns),
               signs.valid, Style::kValid);
  }
}

}  // namespace strata::client::top
