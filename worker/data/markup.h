// Marked-up documents as lists of blocks (headings, paragraphs, items), and the alignment of a document with its
// translation by that structure. Input is UTF-8; what is broken in it costs blocks, never more.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/data/parallel_text.h"

namespace strata::data {

struct Block {
  std::string kind;      // "h1", "p", "li", "TP", ...: a block's translation is of the same kind
  std::string id;        // its id attribute, if any
  std::string text;      // without markup, in one line
  bool heading = false;  // starts a section
  bool unfit = false;    // holds what cannot be told in one line of text: variants, unknown escapes
};

// Of HTML, or of XML such as Mallard's pages. Code, tables' layout, scripts and the like give no block.
std::vector<Block> HtmlBlocks(std::string_view html);

// Appends what the entity `name` (what stands between & and ;) means; false if it is unknown.
bool AppendEntity(std::string_view name, std::string* text);

// Of a manual page (troff with the man macros).
std::vector<Block> ManBlocks(std::string_view page);

// Pairs the blocks of two documents section by section: a section whose blocks are of the same kinds in the same order
// is paired, another is left out. No sections are paired when their numbers differ.
void AlignBlocks(const std::vector<Block>& source, const std::vector<Block>& target, std::vector<Pair>* pairs);

}  // namespace strata::data
