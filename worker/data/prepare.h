// From text files to a dataset's folder (docs/DATASETS.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "worker/data/vocabulary.h"

namespace strata::data {

// Where a split's text stands. A language model has a target only.
struct TextPaths {
  std::filesystem::path source, target;
  std::filesystem::path reference;  // target text to score against, if that is not `target` itself
};

struct PrepareOptions {
  std::string task = "translation";  // headline, language_model
  std::string name, source_language, target_language;
  std::map<std::string, TextPaths> splits;  // "train" and "valid" must be there
  std::filesystem::path output;
  // At most one of these three: a SentencePiece model, a dictionary of words or `@@ ` subwords, a dataset whose
  // vocabulary to share. None: one is made of the training text.
  std::filesystem::path vocabulary_file, dictionary, vocabulary_from;
  VocabularyOptions vocabulary;
  std::string detokeniser;       // name, for the manifest
  int max_length = 0;            // subwords a side, without eos; longer pairs are dropped; 0: none are
  int max_length_held_out = -1;  // the same for all splits but train; -1: as max_length
  std::string provenance_json = "[]";
  bool force = false;
};

// The tasks that `Prepare` knows.
const std::vector<std::string>& TextTasks();

// Throws model::DataError where `name` can be no split's: letters, digits, dot, dash and underscore, at most 64 of
// them.
void CheckSplitName(const std::string& name);

// A vocabulary as it stands in a dataset.
struct VocabularyContent {
  std::string kind;
  std::string content;
  std::filesystem::path where;  // for messages
};

// Of a dataset of which manifest and vocabulary file are there. Throws model::DataError, also where the file has not
// the hash that the manifest states.
VocabularyContent VocabularyOf(const std::filesystem::path& folder, const model::Manifest& manifest);

// Makes the dataset. Throws model::DataError: lines that do not match, text that is none, nothing left, disk full, ...
// Output is the same bytes for the same input and options. Memory: about the training text, twice.
model::Manifest Prepare(const PrepareOptions& options);

}  // namespace strata::data
