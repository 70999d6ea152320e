// Sound files, read whole by libsndfile: FLAC, WAV, OGG; one channel, more than 8 bits a sample.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "model/data/shard.h"

namespace strata::data {

struct Audio {
  int rate = 0;                // Hz
  std::vector<float> samples;  // in [-1, 1], never empty
};

// Nothing longer is read, whatever it is for, in frames of 10 ms: five minutes are no utterance.
inline constexpr int64_t kLongestClip = 30'000;

// The clip is whole, but too long or too short: what a training set leaves out.
class ClipLengthError : public model::DataError {
 public:
  ClipLengthError(const std::string& message, bool is_too_long) : DataError(message), too_long(is_too_long) {}
  const bool too_long;
};

// Throws model::DataError naming file, value and remedy: it cannot be opened or decoded, has no samples, has more than
// one channel, has 8 bits a sample, holds what is no number, or has a rate that filter banks do not take;
// ClipLengthError where it is longer than `max_frames` (of fbank.h; at most kLongestClip) or shorter than one window.
// Safe to call from many threads.
Audio ReadAudio(const std::filesystem::path& path, int64_t max_frames = kLongestClip);

// Whether the file begins as FLAC, WAV or OGG does. False where it cannot be read.
bool LooksLikeAudio(const std::filesystem::path& path);

}  // namespace strata::data
