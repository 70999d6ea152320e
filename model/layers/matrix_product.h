// Matrix products of layers, forward and backward, in the precision that a model's config says.
//
// kFloat32: LibTorch's. kBfloat16: both factors are rounded to bf16 as they are read, sums and results are float32
// (layers/bf16_kernels.h), so that weights, activations and gradients stay float32 everywhere else and nothing rounded
// is kept that could grow stale. The same bits whatever the number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/config.h"

namespace strata::model {

// left [R, K] x right [K, C], each with a stride of 1 in one direction. Not differentiable in bf16, where both are
// float32.
at::Tensor Product(const at::Tensor& left_RK, const at::Tensor& right_KC, Precision precision);
// The same plus bias [C].
at::Tensor Product(const at::Tensor& bias_C, const at::Tensor& left_RK, const at::Tensor& right_KC,
                   Precision precision);
// The same into y, whose columns stand together, or with `accumulate` added to what is there.
void ProductInto(at::Tensor y_RC, const at::Tensor& left_RK, const at::Tensor& right_KC, bool accumulate,
                 Precision precision);

// For weights that are used often: on a device, x rounded to bf16 as its products take it, and x [R, K] (float32) x such a
// right [K, C] + bias [C], which may be undefined, in float32.
at::Tensor RoundedOnDevice(const at::Tensor& x);
at::Tensor ProductOfRounded(const at::Tensor& x_RK, const at::Tensor& right_KC, const at::Tensor& bias_C);

// x W^T, differentiable in both.
at::Tensor Linear(const at::Tensor& x_ND, const at::Tensor& weight_CD, Precision precision);

}  // namespace strata::model
