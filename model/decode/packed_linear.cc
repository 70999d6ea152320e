#include "model/decode/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/layers/decode_kernels.h"

namespace strata::model {
namespace {

int64_t Panels(int64_t columns) {
  const int64_t width = GetDecodeKernels().panel_columns;
  return (columns + width - 1) / width;
}

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight_CD, const at::Tensor& bias_C)
    : columns_(weight_CD.size(0)), depth_(weight_CD.size(1)), bias_C_(bias_C) {
  const at::Tensor weight = weight_CD.detach().contiguous();
  panels_ = at::empty({Panels(columns_) * GetDecodeKernels().panel_columns * depth_}, weight.options());
  GetDecodeKernels().pack(weight.const_data_ptr<float>(), columns_, depth_, panels_.mutable_data_ptr<float>());
}

at::Tensor PackedLinear::operator()(const at::Tensor& x_ND, bool relu) const {
  const at::Tensor y = at::empty({x_ND.size(0), columns_}, x_ND.options());
  Into(x_ND, y.mutable_data_ptr<float>(), columns_, relu);
  return y;
}

void PackedLinear::Into(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu) const {
  const DecodeKernels::Product product{.x = x_ND.const_data_ptr<float>(),
                                       .x_stride = x_ND.stride(0),
                                       .rows = x_ND.size(0),
                                       .panels = panels_.const_data_ptr<float>(),
                                       .columns = columns_,
                                       .depth = depth_,
                                       .bias = bias_C_.defined() ? bias_C_.const_data_ptr<float>() : nullptr,
                                       .relu = relu,
                                       .y = y,
                                       .y_stride = y_stride};
  at::parallel_for(0, Panels(columns_), /*grain_size=*/4,
                   [&](int64_t begin, int64_t end) { GetDecodeKernels().product(product, begin, end); });
}

}  // namespace strata::model
