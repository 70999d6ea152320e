// A file of speech features: the filter banks of many clips, mapped into memory. It stands beside a shard (shard.h) with one
// stream, the transcripts, whose sentence i belongs to clip i.
//
// Plain C++: strata-data writes them, strata-trainer reads them. Layout, little-endian: magic `STRATAFE`; u32 version 1; u32 bins;
// u64 clips; u64 frames; u64 length of the file; u64 XXH3-64 of all after the header (48 bytes); then clips + 1 u64 frame
// positions from 0; then frames x bins float32. Immutable once open, safe to read from many threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "model/data/shard.h"

namespace strata::model {

class FeatureShard {
 public:
  // Maps `path` and checks magic, version, lengths, positions and (kAll) the hash. Throws DataError naming file and remedy.
  static FeatureShard Open(const std::filesystem::path& path, Shard::Check check = Shard::Check::kAll);

  FeatureShard(FeatureShard&&) noexcept = default;
  FeatureShard& operator=(FeatureShard&&) noexcept = default;

  int64_t bins() const { return bins_; }
  uint64_t clips() const { return positions_.size() - 1; }
  int64_t frames(uint64_t clip) const { return static_cast<int64_t>(positions_[clip + 1] - positions_[clip]); }
  // frames(clip) x bins() numbers, frame by frame. clip < clips().
  std::span<const float> Clip(uint64_t clip) const {
    return features_.subspan(positions_[clip] * static_cast<uint64_t>(bins_),
                             static_cast<size_t>(frames(clip) * bins_));
  }

 private:
  FeatureShard() = default;

  std::shared_ptr<const void> mapping_;
  int64_t bins_ = 0;
  std::span<const uint64_t> positions_;
  std::span<const float> features_;
};

// Appends clips to a file of features as they come; nothing of them stays in memory but their lengths. Not thread-safe.
class FeatureShardWriter {
 public:
  // Writes under a temporary name beside `path`. Throws DataError naming the file and the system's reason.
  FeatureShardWriter(std::filesystem::path path, int64_t bins);
  ~FeatureShardWriter();  // drops the temporary file where Finish was not called

  // features.size() is a multiple of bins, and not 0.
  void Add(std::span<const float> features);
  // Writes header and positions, syncs, renames.
  void Finish();

 private:
  struct File;
  std::unique_ptr<File> file_;
};

}  // namespace strata::model
