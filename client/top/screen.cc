#include "client/top/screen.h"

#include <algorithm>

namespace strata::client::top {

Signs Signs::Unicode(bool color) {
  Signs signs;
  signs.unicode = true;
  signs.queued = "·";
  signs.pending = "~";
  signs.running = "▶";
  signs.evaluating = "»";
  signs.done = "✓";
  signs.diverged = "✗";
  signs.failed = "!";
  signs.cancelled = "-";
  signs.bar_full = "█";
  signs.bar_empty = "░";
  signs.line = "─";
  signs.column = "│";
  signs.ellipsis = "…";
  signs.valid = "o";
  signs.left = "◀";
  signs.right = "▶";
  signs.heat = color ? U"░▒▓█" : U"▁▂▃▄▅▆▇█";
  return signs;
}

Signs Signs::Ascii() {
  Signs signs;
  signs.queued = ".";
  signs.pending = "~";
  signs.running = ">";
  signs.evaluating = "E";
  signs.done = "+";
  signs.diverged = "X";
  signs.failed = "!";
  signs.cancelled = "-";
  signs.bar_full = "#";
  signs.bar_empty = ".";
  signs.line = "-";
  signs.column = "|";
  signs.ellipsis = "~";
  signs.valid = "o";
  signs.left = "<";
  signs.right = ">";
  signs.heat = U".:-=+*#%@";
  return signs;
}

char32_t NextCharacter(std::string_view text, size_t* at) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte((*at)++);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 && first < 0xF8 ? 3 : first >= 0xE0 ? 2 : first >= 0xC2 ? 1 : 0;
  if (more == 0 || first >= 0xF8) return U'?';
  char32_t character = first & (0x3F >> more);
  for (int i = 0; i < more; ++i) {
    if (*at >= text.size() || (byte(*at) & 0xC0) != 0x80) return U'?';
    character = character << 6 | (byte((*at)++) & 0x3F);
  }
  return character;
}

void AppendUtf8(char32_t c, std::string* out) {
  const auto put = [&](char32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6), put(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    put(0xE0 | c >> 12), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  } else {
    put(0xF0 | c >> 18), put(0x80 | (c >> 12 & 0x3F)), put(0x80 | (c >> 6 & 0x3F)), put(0x80 | (c & 0x3F));
  }
}

int WidthOf(char32_t c) {
  if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF)
    return 0;
  const bool wide = (c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) ||
                    (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) ||
                    (c >= 0x1F300 && c <= 0x1FAFF) || (c >= 0x20000 && c <= 0x3FFFD);
  return wide ? 2 : 1;
}

size_t WidthOf(std::string_view text) {
  size_t width = 0;
  for (size_t at = 0; at < text.size();) width += static_cast<size_t>(WidthOf(NextCharacter(text, &at)));
  return width;
}

Screen::Screen(size_t rows, size_t columns) : rows_(rows), columns_(columns), cells_(rows * columns) {}

size_t Screen::Put(size_t row, size_t column, std::string_view text, Style style, size_t end) {
  end = std::min(end, columns_);
  for (size_t at = 0; at < text.size();) {
    char32_t glyph = NextCharacter(text, &at);
    if (glyph < 0x20 || (glyph >= 0x7F && glyph < 0xA0)) glyph = U' ';
    const auto width = static_cast<size_t>(WidthOf(glyph));
    if (width == 0) continue;
    if (row >= rows_ || column + width > end) break;
    cells_[row * columns_ + column] = {glyph, style, false};
    if (width == 2) cells_[row * columns_ + column + 1] = {0, style, false};
    column += width;
  }
  return column;
}

size_t Screen::PutFit(size_t row, size_t column, std::string_view text, Style style, size_t end, const Signs& signs) {
  end = std::min(end, columns_);
  if (column >= end) return column;
  if (WidthOf(text) <= end - column) return Put(row, column, text, style, end);
  Put(row, column, text, style, end - 1);
  return Put(row, end - 1, signs.ellipsis, style, end);
}

void Screen::PutGlyph(size_t row, size_t column, char32_t glyph, Style style) {
  if (row < rows_ && column < columns_) cells_[row * columns_ + column] = {glyph, style, false};
}

void Screen::Select(size_t row, size_t begin, size_t end) {
  if (row >= rows_) return;
  for (size_t column = begin; column < std::min(end, columns_); ++column)
    cells_[row * columns_ + column].selected = true;
}

std::string Screen::Text() const {
  std::string text;
  for (size_t row = 0; row < rows_; ++row) {
    std::string line;
    for (size_t column = 0; column < columns_; ++column) {
      if (at(row, column).glyph != 0) AppendUtf8(at(row, column).glyph, &line);
    }
    const size_t last = line.find_last_not_of(' ');
    text += line.substr(0, last == std::string::npos ? 0 : last + 1) + "\n";
  }
  return text;
}

}  // namespace strata::client::top
