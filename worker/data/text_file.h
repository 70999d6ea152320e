// Text files of a user: read whole, checked, one string a line.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace strata::data {

// Lines end at \n only; a \r before it and a byte order mark go. Throws model::DataError naming file and line where the
// text is not valid UTF-8 or holds a NUL, and when the file cannot be read.
std::vector<std::string> ReadTextLines(const std::filesystem::path& path);

// Where `text` stops being valid UTF-8; npos if it does not.
size_t InvalidUtf8At(std::string_view text);

}  // namespace strata::data
