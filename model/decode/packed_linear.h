// A linear layer whose weight is laid out for few rows at a time: decoding reads every weight once a position, so that the
// layout decides the speed. No gradients; float32 on the CPU, in and out.
//
// In bf16 the weight is kept rounded, x is rounded as it comes, and sums and bias are float32, as in
// layers/matrix_product.h.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "model/config.h"

namespace strata::model {

class PackedLinear {
 public:
  PackedLinear() = default;
  // weight_CD [columns, depth], rows contiguous; bias_C may be undefined. Copies the weight.
  PackedLinear(const at::Tensor& weight_CD, const at::Tensor& bias_C, Precision precision);

  // x_ND W^T + bias, or its ReLU.
  at::Tensor operator()(const at::Tensor& x_ND, bool relu = false) const;
  // The same into `y`, row i at y + i * y_stride.
  void Into(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu = false) const;

 private:
  void IntoBf16(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu) const;

  Precision precision_ = Precision::kFloat32;
  int64_t columns_ = 0, depth_ = 0;
  at::Tensor panels_, bias_C_;  // panels: float32, or int32 pairs of bf16
};

}  // namespace strata::model
