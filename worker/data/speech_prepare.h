// From lists of audio files with transcripts to a dataset of task speech (docs/DATASETS.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "model/data/manifest.h"
#include "worker/data/vocabulary.h"

namespace strata::data {

inline constexpr int64_t kMaxTrainingFrames = 3'000;

struct PrepareSpeechOptions {
  std::string name, language;
  std::map<std::string, std::filesystem::path>
      splits;  // name -> list (speech_list.h); "train" and "valid" must be there
  std::filesystem::path output;
  std::filesystem::path vocabulary_file;  // a SentencePiece model to use instead of making one
  VocabularyOptions vocabulary = {.kind = "unigram", .size = 10'000};
  bool lowercase = true;                    // transcripts, and with them the references
  std::string cmvn = "utterance";           // none, global
  int64_t max_frames = kMaxTrainingFrames;  // longer clips are left out of train; other splits keep them
  std::string provenance_json = "[]";
  bool force = false;
};

// Makes the dataset, in bounded memory (the transcripts, some dozens of clips), on all cores. Throws model::DataError
// naming file, line, value and remedy. Output is the same bytes for the same input and options.
model::Manifest PrepareSpeech(const PrepareSpeechOptions& options);

struct EncodeSpeechOptions {
  std::filesystem::path dataset;  // its manifest, vocabulary and, with global CMVN, cmvn.json are needed
  std::filesystem::path input;    // a sound file, or a list of them (transcripts may be left out)
  std::filesystem::path output;
  int64_t max_frames = kMaxTrainingFrames;  // of a clip: a longer one is an error
  bool force = false;
};

// Makes a dataset with one split, input, with the vocabulary and the normalisation of `of`, the manifest of
// options.dataset. Warns on standard error of clips of a rate that train does not have. Throws model::DataError.
model::Manifest EncodeSpeech(const EncodeSpeechOptions& options, const model::Manifest& of);

}  // namespace strata::data
