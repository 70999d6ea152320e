// Clips on their way from audio files into a dataset: features and transcripts of one split, shard by shard.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "worker/data/audio.h"
#include "worker/data/speech_cmvn.h"
#include "worker/data/speech_list.h"
#include "worker/data/statistics.h"
#include "worker/data/vocabulary.h"

namespace strata::data {

struct SpeechForm {
  std::string name;                    // of the split
  int64_t max_frames = kLongestClip;   // of a clip
  bool drop_by_length = false;         // a clip that is too long or too short is left out; else it is an error
  bool with_text = false;              // names of the clips and transcripts under text/
  int64_t frames_per_shard = 1 << 22;  // 1.3 GB: a shard is closed before it would hold more
};

// What was read of a split and what came of it.
struct SpeechFigures {
  uint64_t read = 0, too_long = 0, too_short = 0;
  double seconds = 0;             // of audio, in all
  std::vector<int64_t> frames;    // of each clip
  std::map<int, uint64_t> rates;  // clips of each sampling rate, Hz
  SideFigures target;
  std::vector<uint64_t> target_counts;  // of each id, eos included

  nlohmann::ordered_json Json() const;
};

// Features of one clip of a list, not normalised.
struct ClipFeatures {
  size_t clip;
  int rate;
  double seconds;
  std::vector<float> features;
};

// Computes features of a list on all cores and hands them to `consume` in the list's order; some dozens of clips are in
// memory at a time. Counts what is left out. Throws model::DataError naming the list's line and the file.
void ForEachClip(const SpeechList& list, const SpeechForm& form, SpeechFigures* figures,
                 const std::function<void(ClipFeatures&)>& consume);

// Writes shards (one stream: transcripts; empty ones too) with their files of features, and the raw text. Throws
// model::DataError.
model::DatasetSplit WriteSpeechSplit(const std::filesystem::path& folder, const Vocabulary& vocabulary,
                                     const Cmvn& cmvn, const SpeechList& list, const SpeechForm& form,
                                     SpeechFigures* figures);

}  // namespace strata::data
