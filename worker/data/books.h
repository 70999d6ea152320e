// Books that an R package holds as its data, and their chapters. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/data/running_text.h"

namespace strata::data {

// The character vectors of a lazy-load database (.rdb), in its order: of each, the strings; NA is an empty one. Read
// are values of that type without attributes, compressed by zlib, in R's XDR format, versions 2 and 3. Throws
// model::DataError naming `name` where the bytes are something else or are cut off.
std::vector<std::vector<std::string>> StringVectorsOfRdb(std::string_view rdb, const std::string& name);

// The chapters of a book whose lines these are: each begins with a line "CHAPTER 12" or "Chapter XII"; what comes
// before the first is left out. A document is named "BOOK/CHAPTER" and begins with the heading "= BOOK, chapter CHAPTER
// =", where BOOK is the book's first line and CHAPTER counts from 1. An empty line ends a paragraph; marks of emphasis
// (_) go.
std::vector<TextDocument> Chapters(const std::vector<std::string>& lines);

}  // namespace strata::data
