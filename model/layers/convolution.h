// One-dimensional convolutions of kernel 5, stride 2 and padding 2 over packed clips, as they stand before a speech
// encoder.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/layers/parameters.h"

namespace strata::model {

// Frames that leave such a convolution where `frames` >= 1 enter it.
inline int64_t HalfLength(int64_t frames) { return (frames - 1) / 2 + 1; }

// Which rows each clip reads and writes. Immutable once handed to a convolution; not thread-safe on a device.
struct ConvolutionPlan {
  struct Clip {
    int64_t in_begin = 0, in_rows = 0;    // what lies outside reads as zeros
    int64_t out_begin = 0, out_rows = 0;  // out row t reads in rows 2 t - 2 to 2 t + 2; clips follow one another
  };
  std::vector<Clip> clips;
  int64_t out_rows = 0;  // of all clips
  mutable at::Tensor on_device;  // [out_rows, 5] int64: the in row of each frame, the one behind all where there is none
};

class Convolution {
 public:
  static constexpr int64_t kKernel = 5, kStride = 2, kPadding = 2;

  // Adds `name`.weight [out, in, 5] and `name`.bias [out]: uniform within 1 / sqrt(5 in), as torch's Conv1d.
  Convolution(ParameterStore& store, const std::string& name, int64_t in, int64_t out, Precision precision);

  // x [R, in] -> [plan.out_rows, out]. Differentiable in x where it requires gradients, and in weight and bias.
  at::Tensor operator()(const at::Tensor& x_RC, std::shared_ptr<const ConvolutionPlan> plan) const;

  const at::Tensor& weight() const { return weight_; }

 private:
  Precision precision_;
  at::Tensor weight_, bias_;
};

}  // namespace strata::model
