// A picture of a terminal as a value: a grid of styled cells. What draws it on a real one is painter.h; tests read it
// as text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata::client::top {

// What a cell is about; the painter chooses colour and attributes. No style is the only sign of anything.
enum class Style : uint8_t {
  kText,
  kTitle,
  kDim,
  kKey,     // a key in the foot line
  kNotice,  // what a person should see now
  kQueued,
  kRunning,
  kDone,
  kDiverged,
  kFailed,
  kCancelled,
  kTrain,  // curve of the training loss
  kValid,  // marks of the validation loss
  kHeat,   // kHeat + 0 .. kHeat + kHeatLevels - 1: low to high
};
inline constexpr int kHeatLevels = 12;

constexpr Style Heat(int level) { return static_cast<Style>(static_cast<int>(Style::kHeat) + level); }

struct Cell {
  char32_t glyph = U' ';  // 0: covered by the wide character to its left
  Style style = Style::kText;
  bool selected = false;
  bool operator==(const Cell&) const = default;
};

// Signs for a terminal: of Unicode, or of ASCII where the locale has no UTF-8.
struct Signs {
  static Signs Unicode(bool color);
  static Signs Ascii();

  bool unicode = false;
  const char *queued, *pending, *running, *evaluating, *done, *diverged, *failed, *cancelled;
  const char *bar_full, *bar_empty, *line, *column, *ellipsis, *valid, *left, *right;
  std::u32string_view heat;  // low to high
};

class Screen {
 public:
  Screen(size_t rows, size_t columns);

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  const Cell& at(size_t row, size_t column) const { return cells_[row * columns_ + column]; }

  // Writes UTF-8 text from a place on, cut at `end` (the screen's edge by default). Outside the screen nothing is
  // written; control characters become spaces, broken UTF-8 a question mark. Returns the column after the text.
  size_t Put(size_t row, size_t column, std::string_view text, Style style = Style::kText, size_t end = SIZE_MAX);
  // The same, and where the text does not fit an ellipsis of these signs ends it.
  size_t PutFit(size_t row, size_t column, std::string_view text, Style style, size_t end, const Signs& signs);
  void PutGlyph(size_t row, size_t column, char32_t glyph, Style style);
  // Marks cells of a row from `begin` to before `end` as selected.
  void Select(size_t row, size_t begin, size_t end);

  // UTF-8 lines, each with its newline, spaces at the end cut off.
  std::string Text() const;
  bool operator==(const Screen&) const = default;

 private:
  size_t rows_, columns_;
  std::vector<Cell> cells_;
};

// Cells that a character takes: 0 for combining marks, 2 for wide East Asian ones and emoji, else 1.
int WidthOf(char32_t character);
// Of UTF-8 text, as Put writes it.
size_t WidthOf(std::string_view text);
// The next character of UTF-8 at `*at`, which moves behind it; '?' for a broken one.
char32_t NextCharacter(std::string_view text, size_t* at);
void AppendUtf8(char32_t character, std::string* out);

}  // namespace strata::client::top
