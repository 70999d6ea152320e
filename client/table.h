// Tables of text for a terminal: columns aligned, two spaces apart.
#pragma once

#include <string>
#include <vector>

namespace strata::client {

// Cells that a terminal shows: code points of UTF-8, those of zero width left out.
size_t DisplayWidth(const std::string& text);

// `text` cut to `width` cells, with an ellipsis where something was cut.
std::string Fit(const std::string& text, size_t width);

class Table {
 public:
  // A column whose title begins with '>' is set flush right.
  explicit Table(std::vector<std::string> titles);
  void Add(std::vector<std::string> row);  // missing cells are empty
  // Lines, each with its newline. Line breaks within a cell become spaces.
  std::string Text() const;

 private:
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;  // titles first
};

}  // namespace strata::client
