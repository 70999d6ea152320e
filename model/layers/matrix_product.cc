#include "model/layers/matrix_product.h"

#include <algorithm>
#include <memory>

#include "model/layers/autograd_types.h"
#include "model/layers/bf16_kernels.h"

namespace strata::model {
namespace {

// Depth that is multiplied at once: what is rounded of both sides stays in the second cache. Even.
constexpr int64_t kDepthBlock = 1024;

int64_t PanelsOf(int64_t columns) {
  const int64_t width = GetBf16Kernels().panel_columns;
  return (columns + width - 1) / width;
}
std::unique_ptr<uint32_t[]> Panels(int64_t panels, int64_t depth) {
  const int64_t count = panels * DepthPairs(depth) * GetBf16Kernels().panel_columns;
  return std::unique_ptr<uint32_t[]>(new uint32_t[static_cast<size_t>(count)]);
}

// A matrix whose columns run along `column` of a tensor's two directions, from `begin` on `depth` deep.
Bf16Kernels::Matrix Part(const at::Tensor& matrix, int64_t column, int64_t begin, int64_t depth) {
  return {.data = Data<float>(matrix) + begin * matrix.stride(1 - column),
          .column_stride = matrix.stride(column),
          .depth_stride = matrix.stride(1 - column),
          .columns = matrix.size(column),
          .depth = depth};
}

// Left's rows stand in memory one by one: they are rounded, and right's panels are made as they are needed.
void AddBlockByRows(Bf16Kernels::Product product, const at::Tensor& left, const at::Tensor& right, int64_t begin) {
  const Bf16Kernels& kernels = GetBf16Kernels();
  const int64_t pairs = DepthPairs(product.depth), stride = left.stride(0);
  const std::unique_ptr<uint32_t[]> rounded(new uint32_t[static_cast<size_t>(product.rows * pairs)]);
  const float* x = Data<float>(left) + begin;
  at::parallel_for(0, product.rows, kRowGrain, [&](int64_t first, int64_t last) {
    kernels.round_rows(x + first * stride, stride, last - first, product.depth, rounded.get() + first * pairs);
  });
  product.left = rounded.get();
  product.left_stride = pairs;
  const Bf16Kernels::Matrix matrix = Part(right, 1, begin, product.depth);
  at::parallel_for(0, PanelsOf(product.columns), 1, [&](int64_t first, int64_t last) {
    const auto panel = Panels(1, product.depth);
    Bf16Kernels::Product part = product;
    part.panels = panel.get();
    for (int64_t p = first; p < last; ++p) {
      kernels.pack(matrix, p, p + 1, panel.get());
      kernels.product(part, p, p + 1);
    }
  });
}

// Left's columns stand in memory one by one (a weight's gradient): panels of both, left's made as they are needed.
void AddBlockByColumns(const Bf16Kernels::Product& product, const at::Tensor& left, const at::Tensor& right,
                       int64_t begin) {
  const Bf16Kernels& kernels = GetBf16Kernels();
  const int64_t panels = PanelsOf(product.columns), width = kernels.panel_columns,
                size = DepthPairs(product.depth) * width;
  const auto packed = Panels(panels, product.depth);
  const Bf16Kernels::Matrix columns = Part(right, 1, begin, product.depth), rows = Part(left, 0, begin, product.depth);
  at::parallel_for(0, panels, 1, [&](int64_t first, int64_t last) {
    kernels.pack(columns, first, last, packed.get() + first * size);
  });
  at::parallel_for(0, PanelsOf(product.rows), 1, [&](int64_t first, int64_t last) {
    const auto panel = Panels(1, product.depth);
    Bf16Kernels::Product part = product;
    part.left = panel.get();
    part.left_stride = 0;
    part.panels = packed.get();
    for (int64_t p = first; p < last; ++p) {
      kernels.pack(rows, p, p + 1, panel.get());
      part.rows = std::min(width, product.rows - p * width);
      part.y = product.y + p * width * product.y_stride;
      kernels.product(part, 0, panels);
    }
  });
}

// y = (y +) left x right (+ bias).
void Bf16ProductInto(const at::Tensor& y, const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias,
                     bool accumulate) {
  for (const at::Tensor& tensor : {y, left, right}) {
    TORCH_CHECK(tensor.scalar_type() == at::kFloat && tensor.device().is_cpu(),
                "products in bf16 take float32 on processors, not ", tensor.toString());
  }
  TORCH_CHECK(left.size(1) == right.size(0) && y.size(0) == left.size(0) && y.size(1) == right.size(1),
              "matrices of shapes ", left.sizes(), " and ", right.sizes(), " have no product of shape ", y.sizes());
  TORCH_CHECK((left.stride(0) == 1 || left.stride(1) == 1) && (right.stride(0) == 1 || right.stride(1) == 1) &&
                  y.stride(1) == 1,
              "a product in bf16 takes matrices with a stride of 1");
  const int64_t depth = left.size(1);
  Bf16Kernels::Product product{.rows = y.size(0),
                               .columns = y.size(1),
                               .bias = Data<float>(bias),
                               .accumulate = accumulate,
                               .y = MutableData<float>(y),
                               .y_stride = y.stride(0)};
  if (product.rows == 0 || product.columns == 0) return;
  const bool by_rows = left.stride(1) == 1 || depth == 1;
  for (int64_t begin = 0; begin == 0 || begin < depth; begin += kDepthBlock) {
    product.depth = std::min(kDepthBlock, depth - begin);
    if (by_rows) {
      AddBlockByRows(product, left, right, begin);
    } else {
      AddBlockByColumns(product, left, right, begin);
    }
    product.accumulate = true;
    product.bias = nullptr;
  }
}

at::Tensor Bf16ProductOnDevice(const at::Tensor& left, const at::Tensor& right, const at::Tensor& bias) {
  return ProductOfRounded(left, RoundedOnDevice(right), bias);
}

class LinearFunction : public torch::autograd::Function<LinearFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight) {
    context->save_for_backward({x, weight});
    return Product(x, weight.t(), Precision::kBfloat16);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor d_y = gradients[0].contiguous();
    return {Product(d_y, saved[1], Precision::kBfloat16), Product(d_y.t(), saved[0], Precision::kBfloat16)};
  }
};

}  // namespace

// Processors have no product of bf16 factors with float32 sums: there the rounded numbers stay in float32.
at::Tensor RoundedOnDevice(const at::Tensor& x) {
  const at::Tensor rounded = x.to(at::kBFloat16);
  return x.is_cpu() ? rounded.to(at::kFloat) : rounded;
}

at::Tensor ProductOfRounded(const at::Tensor& x_RK, const at::Tensor& right_KC, const at::Tensor& bias_C) {
  const at::Tensor x = RoundedOnDevice(x_RK);
  const at::Tensor y = x.is_cpu() ? at::mm(x, right_KC) : at::mm(x, right_KC, at::kFloat);
  return bias_C.defined() ? y.add_(bias_C) : y;
}

at::Tensor Product(const at::Tensor& left_RK, const at::Tensor& right_KC, Precision precision) {
  if (precision == Precision::kFloat32) return at::mm(left_RK, right_KC);
  if (!UsesKernels(left_RK)) return Bf16ProductOnDevice(left_RK, right_KC, {});
  return Product({}, left_RK, right_KC, precision);
}

at::Tensor Product(const at::Tensor& bias_C, const at::Tensor& left_RK, const at::Tensor& right_KC,
                   Precision precision) {
  if (precision == Precision::kFloat32) return at::addmm(bias_C, left_RK, right_KC);
  if (!UsesKernels(left_RK)) return Bf16ProductOnDevice(left_RK, right_KC, bias_C);
  at::Tensor y = at::empty({left_RK.size(0), right_KC.size(1)}, left_RK.options().requires_grad(false));
  Bf16ProductInto(y, left_RK, right_KC, bias_C, /*accumulate=*/false);
  return y;
}

void ProductInto(at::Tensor y_RC, const at::Tensor& left_RK, const at::Tensor& right_KC, bool accumulate,
                 Precision precision) {
  if (precision == Precision::kBfloat16 && !UsesKernels(left_RK)) {
    const at::Tensor product = Bf16ProductOnDevice(left_RK, right_KC, {});
    accumulate ? y_RC.add_(product) : y_RC.copy_(product);
  } else if (precision == Precision::kBfloat16) {
    Bf16ProductInto(y_RC, left_RK, right_KC, {}, accumulate);
  } else if (accumulate) {
    y_RC.addmm_(left_RK, right_KC);
  } else {
    at::mm_out(y_RC, left_RK, right_KC);
  }
}

at::Tensor Linear(const at::Tensor& x_ND, const at::Tensor& weight_CD, Precision precision) {
  if (precision == Precision::kFloat32) return at::mm(x_ND, weight_CD.t());
  return LinearFunction::apply(x_ND, weight_CD);
}

}  // namespace strata::model
