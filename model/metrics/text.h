// What text is made of, as Python's str sees it: the standard scorers are Python, and equality with them begins here.
// All functions take UTF-8; bytes that are none are kept as they are and never count as white space.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace strata::model {

// str.split(): the runs between white space, Unicode's included (U+00A0, U+2009, U+3000, ...).
std::vector<std::string_view> SplitAtSpaces(std::string_view text);

// Bytes of the white-space character that `text` starts with; 0 if it starts with none. str.isspace().
size_t SpaceAtFront(std::string_view text);

// str.rstrip().
std::string_view WithoutTrailingSpace(std::string_view text);

// The lines of a file: they end at \n only (not at \r, U+0085 or U+2028); a last line needs no \n.
std::vector<std::string_view> Lines(std::string_view text);

}  // namespace strata::model
