// A linear layer whose weight is laid out for few rows at a time: decoding reads every weight once a position, so that the
// layout decides the speed. No gradients; float32 on the CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace strata::model {

class PackedLinear {
 public:
  PackedLinear() = default;
  // weight_CD [columns, depth], rows contiguous; bias_C may be undefined. Copies the weight.
  PackedLinear(const at::Tensor& weight_CD, const at::Tensor& bias_C);

  // x_ND W^T + bias, or its ReLU.
  at::Tensor operator()(const at::Tensor& x_ND, bool relu = false) const;
  // The same into `y`, row i at y + i * y_stride.
  void Into(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu = false) const;

 private:
  int64_t columns_ = 0, depth_ = 0;
  at::Tensor panels_, bias_C_;
};

}  // namespace strata::model
