#include "model/decode/packed_linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "model/layers/bf16_kernels.h"
#include "model/layers/decode_kernels.h"

namespace strata::model {
namespace {

constexpr int64_t kPanelGrain = 4;  // panels that a thread takes at least

int64_t Panels(int64_t columns, int64_t width) { return (columns + width - 1) / width; }

uint32_t* Pairs(const at::Tensor& pairs) { return reinterpret_cast<uint32_t*>(pairs.mutable_data_ptr<int32_t>()); }
const uint32_t* ConstPairs(const at::Tensor& pairs) { return reinterpret_cast<const uint32_t*>(pairs.const_data_ptr<int32_t>()); }

}  // namespace

PackedLinear::PackedLinear(const at::Tensor& weight_CD, const at::Tensor& bias_C, Precision precision)
    : precision_(precision), columns_(weight_CD.size(0)), depth_(weight_CD.size(1)), bias_C_(bias_C) {
  const at::Tensor weight = weight_CD.detach().contiguous();
  if (precision_ == Precision::kBfloat16) {
    const Bf16Kernels& kernels = GetBf16Kernels();
    const int64_t panels = Panels(columns_, kernels.panel_columns);
    panels_ = at::empty({panels * kernels.panel_columns * DepthPairs(depth_)}, weight.options().dtype(at::kInt));
    kernels.pack({.data = weight.const_data_ptr<float>(), .column_stride = depth_, .depth_stride = 1, .columns = columns_, .depth = depth_},
                 0, panels, Pairs(panels_));
    return;
  }
  panels_ = at::empty({Panels(columns_, GetDecodeKernels().panel_columns) * GetDecodeKernels().panel_columns * depth_}, weight.options());
  GetDecodeKernels().pack(weight.const_data_ptr<float>(), columns_, depth_, panels_.mutable_data_ptr<float>());
}

at::Tensor PackedLinear::operator()(const at::Tensor& x_ND, bool relu) const {
  const at::Tensor y = at::empty({x_ND.size(0), columns_}, x_ND.options());
  Into(x_ND, y.mutable_data_ptr<float>(), columns_, relu);
  return y;
}

void PackedLinear::Into(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu) const {
  if (precision_ == Precision::kBfloat16) return IntoBf16(x_ND, y, y_stride, relu);
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
  at::parallel_for(0, Panels(columns_, GetDecodeKernels().panel_columns), kPanelGrain,
                   [&](int64_t begin, int64_t end) { GetDecodeKernels().product(product, begin, end); });
}

void PackedLinear::IntoBf16(const at::Tensor& x_ND, float* y, int64_t y_stride, bool relu) const {
  const Bf16Kernels& kernels = GetBf16Kernels();
  const int64_t rows = x_ND.size(0), pairs = DepthPairs(depth_), panel = pairs * kernels.panel_columns;
  const at::Tensor rounded = at::empty({rows, pairs}, panels_.options());
  kernels.round_rows(x_ND.const_data_ptr<float>(), x_ND.stride(0), rows, depth_, Pairs(rounded));
  const Bf16Kernels::Product product{.left = ConstPairs(rounded),
                                     .left_stride = pairs,
                                     .rows = rows,
                                     .panels = ConstPairs(panels_),
                                     .columns = columns_,
                                     .depth = depth_,
                                     .bias = bias_C_.defined() ? bias_C_.const_data_ptr<float>() : nullptr,
                                     .relu = relu,
                                     .y = y,
                                     .y_stride = y_stride};
  at::parallel_for(0, Panels(columns_, kernels.panel_columns), kPanelGrain, [&](int64_t begin, int64_t end) {
    Bf16Kernels::Product part = product;
    part.panels += begin * panel;
    kernels.product(part, begin, end);
  });
}

}  // namespace strata::model
