// Mean and variance normalisation of features, the same for every clip of a dataset and for what it is later given.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "model/data/manifest.h"
#include "worker/data/fbank.h"

namespace strata::data {

// Immutable, safe to use from many threads.
class Cmvn {
 public:
  // "none" or "utterance" (each clip by its own statistics).
  explicit Cmvn(std::string kind);
  // "global": by statistics of the training clips.
  explicit Cmvn(const FeatureStatistics& training);

  // That of a dataset. Throws model::DataError where its statistics are missing, damaged or not those that its manifest
  // lists.
  static Cmvn Of(const std::filesystem::path& folder, const model::Manifest& manifest);

  const std::string& kind() const { return kind_; }
  // features: frames x kFilterBanks, at least one frame.
  void Apply(std::span<float> features) const;
  // Writes what Of reads into a dataset's folder: global statistics, else nothing.
  void Write(const std::filesystem::path& folder) const;

 private:
  std::string kind_;
  uint64_t frames_ = 0;
  std::vector<double> mean_, deviation_;
};

}  // namespace strata::data
