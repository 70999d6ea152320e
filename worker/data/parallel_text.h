// Pairs of sentences on their way from documents to training and held-out text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace strata::data {

struct Pair {
  std::string source, target;  // UTF-8, one line each
};

// What is held out is held out by documents: all pairs of a document stand in one split.
struct Document {
  std::string name;
  std::vector<Pair> pairs;
};

struct SplitPairs {
  std::vector<Pair> train, valid, test;
  std::map<std::string, uint64_t> dropped;  // by reason, before splitting and after
};

// The split of a document, by the hash of its name: about 2 % for each of valid and test.
enum class Held { kTrain, kValid, kTest };
Held HeldOut(std::string_view document);

// What the two sides of a pair are to one another.
enum class PairKind { kTranslation, kHeadline };

// Runs of white space become one space, none at the ends.
std::string Tidied(std::string_view text);

// The sentences of a paragraph. Abbreviations ("z. B.", "e.g.", "Nr.") end none.
std::vector<std::string> Sentences(std::string_view paragraph);

// Adds the pairs of two aligned paragraphs: sentence by sentence where their numbers agree, else as one pair.
void AddParagraph(std::string_view source, std::string_view target, std::vector<Pair>* pairs);

// Tidies, drops what is no pair (empty, both sides the same, with control characters; a translation of very uneven
// lengths; a headline that is no shorter than its text) and doubles;
// holds out about 2 % of the documents for each of valid and test, chosen by the hash of their names; then drops pairs
// so that no side of a test pair stands in valid or train, and no side of a valid pair in train (compared without case
// and punctuation at the ends). Same documents, same result.
SplitPairs HoldOut(const std::vector<Document>& documents, PairKind kind = PairKind::kTranslation);

// Writes train.SOURCE_ENDING, train.TARGET_ENDING, valid.*, test.* into a folder. Throws model::DataError when a file
// cannot be written.
void WriteParallelText(const std::filesystem::path& folder, const SplitPairs& splits, const std::string& source_ending,
                       const std::string& target_ending);

}  // namespace strata::data
