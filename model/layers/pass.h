// One pass through a model: whether it trains, its randomness, what it leaves for diagnostics.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/layers/kernels.h"
#include "model/layers/layer_taps.h"

namespace strata::model {

class Pass {
 public:
  // Draws one number from torch's default CPU generator when training.
  Pass(bool training, LayerTaps* taps);

  bool training() const { return training_; }
  LayerTaps* taps() const { return taps_; }
  // A site of its own for each call, in the order of calls. Rate 0 when not training.
  DropoutSite Site(double rate);

 private:
  bool training_;
  LayerTaps* taps_;
  uint64_t seed_ = 0;
  uint64_t sites_ = 0;
};

// What a sub-layer gives: its output before its dropout, and that dropout, which whoever adds it applies in the same loop.
struct Branch {
  at::Tensor value_ND;
  DropoutSite dropout;
};

}  // namespace strata::model
