#include "model/data/clips.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "model/data/feature_shard.h"

namespace strata::model {
namespace {

struct ClipFile {
  FeatureShard features;
  Shard transcripts;
};

class Clips final : public Examples {
 public:
  Clips(std::vector<ClipFile> files, uint64_t limit, int64_t max_length) : files_(std::move(files)) {
    if (!files_.empty()) {
      const std::span<const Piece> pieces = files_[0].transcripts.pieces();
      pieces_.assign(pieces.begin(), pieces.end());
      bins_ = files_[0].features.bins();
    }
    uint64_t seen = 0;
    for (uint32_t f = 0; f < files_.size(); ++f) {
      for (uint64_t c = 0; c < files_[f].features.clips() && (limit == 0 || seen < limit); ++c, ++seen) {
        if (max_length > 0 && files_[f].features.frames(c) > max_length) {
          ++left_out_;
        } else {
          places_.push_back({f, static_cast<uint32_t>(c)});
        }
      }
    }
    if (places_.size() > std::numeric_limits<uint32_t>::max())
      throw DataError("A split has more than 4,294,967,295 clips.");
  }

  size_t size() const override { return places_.size(); }
  uint64_t left_out() const override { return left_out_; }
  const std::vector<Piece>& pieces() const override { return pieces_; }
  std::string RemedyForLength() const override {
    return "It counts frames: raise train.max_tokens, or leave long clips out with train.max_length.";
  }

  std::vector<int32_t> Sizes(int stream) const override {
    std::vector<int32_t> sizes;
    sizes.reserve(places_.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      const int64_t frames = Frames(i);
      sizes.push_back(static_cast<int32_t>(
          stream == 0 ? frames : std::min<int64_t>(frames, static_cast<int64_t>(Target(i).size()) + 1)));
    }
    return sizes;
  }

  void CountTargets(std::vector<uint64_t>& counts) const override {
    for (size_t i = 0; i < places_.size(); ++i) {
      for (const int32_t id : Target(i)) ++counts[static_cast<size_t>(id)];
      ++counts[kEosId];
    }
  }

  Batch Collate(std::span<const uint32_t> clips) const override {
    Batch batch{.sentences = static_cast<int64_t>(clips.size())};
    int64_t longest = 0;
    for (const uint32_t clip : clips) {
      batch.source_frames.push_back(Frames(clip));
      longest = std::max(longest, static_cast<int64_t>(Target(clip).size()) + 1);
      batch.target_tokens += static_cast<int64_t>(Target(clip).size()) + 1;
    }
    const int64_t frames = clips.empty() ? 0 : *std::ranges::max_element(batch.source_frames);
    batch.source_features_BSF = at::zeros({batch.sentences, frames, bins_}, at::kFloat);
    batch.target_input_BT = at::full({batch.sentences, longest}, kPad, at::kLong);
    batch.target_BT = at::full({batch.sentences, longest}, kPad, at::kLong);
    auto* features = batch.source_features_BSF.mutable_data_ptr<float>();
    auto* input = batch.target_input_BT.mutable_data_ptr<int64_t>();
    auto* target = batch.target_BT.mutable_data_ptr<int64_t>();
    for (const uint32_t clip : clips) {
      std::ranges::copy(files_[places_[clip].file].features.Clip(places_[clip].clip), features);
      *std::ranges::copy(Target(clip), target).out = kEos;
      *input = kEos;
      std::ranges::copy(Target(clip), input + 1);
      features += frames * bins_;
      input += longest;
      target += longest;
    }
    return batch;
  }

 private:
  struct Place {
    uint32_t file, clip;
  };
  int64_t Frames(size_t i) const { return files_[places_[i].file].features.frames(places_[i].clip); }
  std::span<const int32_t> Target(size_t i) const {
    return files_[places_[i].file].transcripts.Sentence(0, places_[i].clip);
  }

  std::vector<ClipFile> files_;
  std::vector<Place> places_;
  std::vector<Piece> pieces_;
  int64_t bins_ = 0;
  uint64_t left_out_ = 0;
};

ClipFile OpenFile(const std::filesystem::path& path, Shard transcripts, const Manifest& manifest) {
  FeatureShard features = FeatureShard::Open(path);
  if (features.clips() != transcripts.sentences()) {
    throw DataError(path.string() + " holds " + std::to_string(features.clips()) + " clips, the shard beside it " +
                    std::to_string(transcripts.sentences()) + " transcripts. Prepare the dataset again.");
  }
  if (features.bins() != manifest.features.bins) {
    throw DataError(path.string() + " has " + std::to_string(features.bins()) +
                    " filter banks a frame, the manifest says " + std::to_string(manifest.features.bins) +
                    ". Prepare the dataset again.");
  }
  if (transcripts.streams() != 1) {
    throw DataError(
        path.string() +
        ": the shard beside it has source and target, but speech has transcripts alone. Prepare the dataset "
        "again for task speech.");
  }
  return {std::move(features), std::move(transcripts)};
}

}  // namespace

std::unique_ptr<Examples> OpenClips(const std::filesystem::path& folder, const Manifest& manifest,
                                    const std::string& split, const ExampleOptions& options) {
  const std::vector<std::string>& names = manifest.Split(split).features;
  std::vector<Shard> transcripts = OpenSplit(folder, manifest, split);
  if (names.empty() || names.size() != transcripts.size()) {
    throw DataError("Dataset " + manifest.name + " has no features for the clips of split '" + split +
                    "', which task.kind \"speech\" learns from. Choose a dataset that was prepared for task speech.");
  }
  std::vector<ClipFile> files;
  for (size_t i = 0; i < names.size(); ++i)
    files.push_back(OpenFile(folder / names[i], std::move(transcripts[i]), manifest));
  return std::make_unique<Clips>(std::move(files), options.limit, options.max_length);
}

}  // namespace strata::model
