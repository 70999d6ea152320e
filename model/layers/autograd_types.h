// What every autograd function here needs: narrow includes, checks and calls into the kernels.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/layers/device_path.h"
#include "model/layers/kernels.h"

namespace strata::model {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

// Rows a thread takes at once at least.
inline constexpr int64_t kRowGrain = 32;

template <typename T>
const T* Data(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}
template <typename T>
T* MutableData(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

// Calls `body` with a value of the tensor's element type, float or double.
template <typename Body>
void ByType(const at::Tensor& tensor, Body body) {
  TORCH_CHECK(tensor.is_cpu(), "the processors' kernels were given a tensor on ", tensor.device());
  if (tensor.scalar_type() == at::kDouble) {
    body(double{});
  } else {
    TORCH_CHECK(tensor.scalar_type() == at::kFloat, "these layers compute in float32 or float64, not in ", tensor.scalar_type());
    body(float{});
  }
}

// out [width] = column sums of in [rows, width].
inline at::Tensor ColumnSums(const at::Tensor& in) {
  if (!UsesKernels(in)) return in.sum(0);
  at::Tensor out = at::zeros({in.size(1)}, in.options());
  ByType(in, [&](auto zero) {
    using T = decltype(zero);
    GetKernels<T>().column_sums(Data<T>(in), MutableData<T>(out), in.size(1), 0, in.size(0));
  });
  return out;
}

}  // namespace strata::model
