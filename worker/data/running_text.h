// Running text on its way from documents to a language model's training and held-out text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker/data/parallel_text.h"

namespace strata::data {

struct TextDocument {
  std::string name;
  std::vector<std::string> paragraphs;  // UTF-8, one line each; headings are "= Heading ="
  std::optional<Held> held = {};        // its split, where it is not to go by the hash of its name
};

// Settles the splits of few documents, of which hashes alone may hold out none: `each` are test and as many valid, the
// first ones in the order of their names' hashes.
void HoldOutOfFew(size_t each, std::vector<TextDocument>* documents);

// The lines of each split: a document's paragraphs, then an empty line.
struct SplitLinesOfText {
  std::vector<std::string> train, valid, test;
  std::map<std::string, uint64_t> dropped;  // paragraphs, by reason
};

// Words with punctuation parted from them by spaces, in one line: `"So," he said.` -> `" So , " he said .`.
std::string Tokenised(std::string_view paragraph);

// The paragraphs and headings of Perl's documentation format; code gives none.
std::vector<std::string> PodParagraphs(std::string_view pod);

// The entries of a dictionary in dictd's plain form (a headword at the line's beginning, what belongs to it indented),
// without marks of sources, pronunciations and cross references. Lines that are no UTF-8 are left out.
std::vector<TextDocument> DictionaryEntries(std::string_view text, const std::string& name);

// Tokenises, drops short paragraphs, those without letters and doubles; holds out about 2 % of the documents for each
// of valid and test, chosen by the hash of their names where that is not settled; no paragraph of a test document
// stands in valid or train, none of a valid one in train. Same documents, same result.
SplitLinesOfText HoldOutText(const std::vector<TextDocument>& documents);

}  // namespace strata::data
