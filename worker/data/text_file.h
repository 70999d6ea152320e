// Text files of a user: read whole, checked, line by line.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace strata::data {

// A text file in memory. Immutable; the lines live as long as it does. Lines end at \n only; a \r before it and a byte
// order mark go.
class TextLines {
 public:
  TextLines() = default;
  // Throws model::DataError naming file and line where the text is not valid UTF-8 or holds a NUL, and when the file
  // cannot be read.
  explicit TextLines(const std::filesystem::path& path);

  std::span<const std::string_view> lines() const { return lines_; }
  size_t size() const { return lines_.size(); }
  bool empty() const { return lines_.empty(); }

 private:
  std::unique_ptr<const std::string> text_;
  std::vector<std::string_view> lines_;
};

// The same as strings.
std::vector<std::string> ReadTextLines(const std::filesystem::path& path);

// Where `text` stops being valid UTF-8; npos if it does not.
size_t InvalidUtf8At(std::string_view text);

// The lines, each with a \n behind it.
std::string Joined(std::span<const std::string_view> lines);

}  // namespace strata::data
