// From parallel text files to a dataset's folder (docs/DATASETS.md).
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "worker/data/tokenizer.h"

namespace strata::data {

struct TextPaths {
  std::filesystem::path source, target;
};

struct PrepareOptions {
  std::string name, source_language, target_language;
  TextPaths train, valid, test;  // valid and test may be empty
  std::filesystem::path output;
  std::filesystem::path vocabulary_file;  // a SentencePiece model to use instead of training one
  VocabularyOptions vocabulary;
  int max_length = 0;            // subwords a side, without eos; longer pairs are dropped; 0: none are
  int max_length_held_out = -1;  // the same for valid and test; -1: as max_length
  std::string provenance_json = "[]";
  bool force = false;
};

inline constexpr std::array<const char*, 3> kSplits = {"train", "valid", "test"};

// Pairs of a split as they go into shards.
struct EncodedSplit {
  std::vector<std::vector<int32_t>> source, target;
  std::vector<std::string> source_text, target_text;
  uint64_t read = 0, empty = 0, too_long = 0;
};

// Encodes line by line, on all cores, and drops pairs with an empty side or one longer than max_length (0: no limit).
EncodedSplit EncodeSplit(const Tokenizer& tokenizer, const std::vector<std::string>& source,
                         const std::vector<std::string>& target, int max_length);

// Makes the dataset. Throws model::DataError: lines that do not match, text that is none, nothing left, disk full, ...
// Output is the same bytes for the same input and options.
model::Manifest Prepare(const PrepareOptions& options);

}  // namespace strata::data
