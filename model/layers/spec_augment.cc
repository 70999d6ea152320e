#include "model/layers/spec_augment.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace strata::model {
namespace {

// splitmix64 from (seed, clip).
class Draws {
 public:
  Draws(uint64_t seed, uint64_t clip) : state_(seed ^ (clip + 1) * 0xd1342543de82ef95ull) {}

  // Uniform over 0 .. most.
  int64_t UpTo(int64_t most) {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    z ^= z >> 31;
    return static_cast<int64_t>((static_cast<unsigned __int128>(z) * static_cast<uint64_t>(most + 1)) >> 64);
  }

 private:
  uint64_t state_;
};

}  // namespace

at::Tensor Mask(const at::Tensor& features_BSF, const std::vector<int64_t>& frames, const SpecAugment& masks,
                uint64_t seed) {
  const at::Tensor masked = features_BSF.clone();
  const int64_t bins = masked.size(2);
  for (size_t b = 0; b < frames.size(); ++b) {
    Draws draws(seed, b);
    const at::Tensor clip_FB = masked[static_cast<int64_t>(b)].narrow(0, 0, frames[b]);
    for (int64_t m = 0; m < masks.frequency_masks; ++m) {
      const int64_t width = draws.UpTo(std::min(masks.frequency_mask_bins, bins)), begin = draws.UpTo(bins - width);
      clip_FB.narrow(1, begin, width).zero_();
    }
    for (int64_t m = 0; m < masks.time_masks; ++m) {
      const int64_t width = draws.UpTo(std::min(masks.time_mask_frames, frames[b])),
                    begin = draws.UpTo(frames[b] - width);
      clip_FB.narrow(0, begin, width).zero_();
    }
  }
  return masked;
}

}  // namespace strata::model
