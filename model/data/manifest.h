// What stands in a dataset's folder: manifest.json (docs/DATASETS.md). Plain C++; values are immutable once read.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/data/shard.h"

namespace strata::model {

struct DatasetSplit {
  uint64_t sentences = 0;
  uint64_t source_tokens = 0;  // without eos
  uint64_t target_tokens = 0;
  std::vector<std::string> shards;       // file names, in order
  std::string source_text, target_text;  // raw text for scoring, one line a sentence; empty if there is none
  std::vector<std::string> features;     // speech: file names, one beside each shard (model/data/feature_shard.h)
  uint64_t frames = 0;                   // speech: in all
  uint64_t words = 0, lines = 0;         // language model: of the raw text, lines with the empty ones; perplexity per word goes by them
};

// Speech: how the features were made.
struct FeatureFormat {
  int bins = 0;      // 0: the dataset has no features
  std::string cmvn;  // none, utterance or global: mean and variance normalisation that the features went through
};

struct DatasetFile {
  std::string path;  // relative to the folder, with /
  uint64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string name;
  std::string task = "translation";
  std::string source_language, target_language;
  int vocabulary_size = 0;
  std::string vocabulary_file;
  std::string vocabulary_kind = "bpe";  // bpe, unigram, char (SentencePiece); words (one piece a word); split (subwords with "@@ ", as given)
  std::string detokeniser;              // name of a detokeniser of the worker's (docs/DATASETS.md) for what is decoded; empty: none needed
  FeatureFormat features;
  std::map<std::string, DatasetSplit> splits;  // "train", "valid", "test"
  std::vector<DatasetFile> files;              // sorted by path
  std::string digest;                          // SHA-256 over the lines "<path> <sha256>\n" of files
  std::string provenance_json = "[]";          // as JSON text: carried along, not understood here
  std::string statistics_json = "{}";

  // The split of that name. Throws DataError that lists the splits there are.
  const DatasetSplit& Split(const std::string& name) const;
};

// Reads and checks folder/manifest.json: every key there, paths inside of the folder, digest right, ids of the control
// pieces as ours. Throws DataError naming the file, the field and the remedy. Looks at no other file.
Manifest ReadManifest(const std::filesystem::path& folder);

// Fills in files (everything in `folder` but the manifest) and digest, then writes folder/manifest.json, last of all.
void WriteManifest(const std::filesystem::path& folder, Manifest* manifest);

enum class Verify { kSizes, kHashes };
// Holds every listed file against its length, and its hash with kHashes. Throws DataError naming the first that
// differs.
void VerifyFiles(const std::filesystem::path& folder, const Manifest& manifest, Verify verify = Verify::kHashes);

// Opens a split's shards and holds their counts and vocabulary against the manifest. Throws DataError.
std::vector<Shard> OpenSplit(const std::filesystem::path& folder, const Manifest& manifest, const std::string& split);

}  // namespace strata::model
