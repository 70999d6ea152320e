// SpecAugment (Park et al., 2019) without time warping: bands of filter banks and stretches of frames are set to zero.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace strata::model {

struct SpecAugment {
  int64_t frequency_masks = 0, frequency_mask_bins = 27;  // masks a clip, each 0 to so many bins wide
  int64_t time_masks = 0, time_mask_frames = 100;  // masks a clip, each 0 to so many frames long, at most the clip

  bool any() const { return frequency_masks > 0 || time_masks > 0; }
};

// A copy of features_BSF (frames[b] of clip b) with every clip masked by itself: widths are uniform over 0 to
// the greatest, places uniform over all where the mask fits. A function of its arguments: the masks of clip b follow
// from (seed, b) alone.
at::Tensor Mask(const at::Tensor& features_BSF, const std::vector<int64_t>& frames, const SpecAugment& masks,
                uint64_t seed);

}  // namespace strata::model
