#include "model/layers/convolution.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "model/layers/autograd_types.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

using Plan = std::shared_ptr<const ConvolutionPlan>;
constexpr int64_t kKernel = Convolution::kKernel, kStride = Convolution::kStride, kPadding = Convolution::kPadding;

// The frames that out row t reads, as rows of its clip: [first, last) of them exist, the first at tap first - from.
struct Window {
  int64_t from, first, last;
};
Window WindowOf(int64_t t, int64_t rows) {
  const int64_t from = t * kStride - kPadding;
  return {from, std::max<int64_t>(from, 0), std::min(from + kKernel, rows)};
}

// Calls visit(clip, window, out row) for every out row, clips in parallel: no two clips share rows.
template <typename Visit>
void ForEachWindow(const ConvolutionPlan& plan, Visit visit) {
  at::parallel_for(0, static_cast<int64_t>(plan.clips.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const ConvolutionPlan::Clip& clip = plan.clips[static_cast<size_t>(c)];
      for (int64_t t = 0; t < clip.out_rows; ++t) visit(clip, WindowOf(t, clip.in_rows), clip.out_begin + t);
    }
  });
}

// The row of x of each window's frames [out rows, 5], and `outside` where there is none.
at::Tensor FrameRows(const ConvolutionPlan& plan, int64_t outside, const at::Device& device) {
  if (!plan.on_device.defined()) {
    const at::Tensor rows = at::full({plan.out_rows, kKernel}, outside, at::kLong);
    auto* frame = rows.mutable_data_ptr<int64_t>();
    ForEachWindow(plan, [&](const ConvolutionPlan::Clip& clip, const Window& window, int64_t row) {
      for (int64_t t = window.first; t < window.last; ++t) frame[row * kKernel + t - window.from] = clip.in_begin + t;
    });
    plan.on_device = CopyTo(rows, device);
  }
  return plan.on_device;
}

// x with a row of zeros behind, which stands for what lies outside of a clip.
at::Tensor UnfoldOnDevice(const at::Tensor& x, const ConvolutionPlan& plan) {
  const at::Tensor padded = at::cat({x, at::zeros({1, x.size(1)}, x.options())});
  return at::index_select(padded, 0, FrameRows(plan, x.size(0), x.device()).view(-1)).view({plan.out_rows, -1});
}

at::Tensor FoldOnDevice(const at::Tensor& columns, const ConvolutionPlan& plan, int64_t rows, int64_t width) {
  const at::Tensor frames = FrameRows(plan, rows, columns.device()), taps = columns.view({-1, kKernel, width});
  const at::Tensor padded = at::zeros({rows + 1, width}, columns.options());
  // At one tap no two windows share a frame, so that nothing depends on the order of additions but the row behind.
  for (int64_t k = 0; k < kKernel; ++k) padded.index_add_(0, frames.select(1, k), taps.select(1, k));
  return padded.narrow(0, 0, rows);
}

// [out rows, 5 C]: the five frames of each window side by side. They follow one another in memory, so a row is one
// copy.
at::Tensor Unfold(const at::Tensor& x, const ConvolutionPlan& plan) {
  if (!UsesKernels(x)) return UnfoldOnDevice(x, plan);
  const int64_t width = x.size(1);
  const at::Tensor columns = at::empty({plan.out_rows, kKernel * width}, x.options());
  ByType(x, [&](auto zero) {
    using T = decltype(zero);
    ForEachWindow(plan, [&](const ConvolutionPlan::Clip& clip, const Window& window, int64_t row) {
      T* to = MutableData<T>(columns) + row * kKernel * width;
      const int64_t count = std::max<int64_t>(window.last - window.first, 0),
                    before = std::min(window.first - window.from, kKernel);
      std::fill_n(to, before * width, T(0));
      if (count > 0)
        std::memcpy(to + before * width, Data<T>(x) + (clip.in_begin + window.first) * width,
                    sizeof(T) * count * width);
      std::fill(to + (before + count) * width, to + kKernel * width, T(0));
    });
  });
  return columns;
}

// The transpose of Unfold: sums what each row of x gave to all windows.
at::Tensor Fold(const at::Tensor& columns, const ConvolutionPlan& plan, int64_t rows, int64_t width) {
  if (!UsesKernels(columns)) return FoldOnDevice(columns, plan, rows, width);
  const at::Tensor x = at::zeros({rows, width}, columns.options());
  ByType(x, [&](auto zero) {
    using T = decltype(zero);
    ForEachWindow(plan, [&](const ConvolutionPlan::Clip& clip, const Window& window, int64_t row) {
      if (window.last <= window.first) return;
      const T* from = Data<T>(columns) + (row * kKernel + window.first - window.from) * width;
      T* to = MutableData<T>(x) + (clip.in_begin + window.first) * width;
      for (int64_t j = 0; j < (window.last - window.first) * width; ++j) to[j] += from[j];
    });
  });
  return x;
}

// [out, in, 5] -> [out, 5 in], in the order of a window's frames.
at::Tensor ByFrames(const at::Tensor& weight) { return weight.permute({0, 2, 1}).reshape({weight.size(0), -1}); }

struct PlanHolder : torch::CustomClassHolder {
  explicit PlanHolder(Plan held) : plan(std::move(held)) {}
  Plan plan;
};

class ConvolutionFunction : public torch::autograd::Function<ConvolutionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, Plan plan, Precision precision) {
    context->save_for_backward({x, weight});
    context->saved_data["x"] = x.requires_grad();
    const at::Tensor out = Product(bias, Unfold(x, *plan), ByFrames(weight).t(), precision);
    context->saved_data["precision"] = static_cast<int64_t>(precision);
    context->saved_data["plan"] = c10::IValue::make_capsule(c10::make_intrusive<PlanHolder>(std::move(plan)));
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const ConvolutionPlan& plan = *static_cast<PlanHolder*>(context->saved_data["plan"].toCapsule().get())->plan;
    const at::Tensor d_out = gradients[0].contiguous();
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor d_by_frames = Product(d_out.t(), Unfold(x, plan), precision);
    const at::Tensor d_weight =
        d_by_frames.view({weight.size(0), kKernel, weight.size(1)}).permute({0, 2, 1}).contiguous();
    at::Tensor d_x;
    if (context->saved_data["x"].toBool()) 
      d_x = Fold(Product(d_out, ByFrames(weight), precision), plan, x.size(0), x.size(1));
    return {d_x, d_weight, ColumnSums(d_out), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

Convolution::Convolution(ParameterStore& store, const std::string& name, int64_t in, int64_t out, Precision precision)
    : precision_(precision) {
  const ParameterPart part{.role = Role::kConvolution,
                           .stack = "encoder",
                           .fan_in = kKernel * in,
                           .fan_out = kKernel * out,
                           .initial = Initial::Uniform(1 / std::sqrt(static_cast<double>(kKernel * in)))};
  ParameterPart weight = part, bias = part;
  weight.name = name + ".weight";
  bias.name = name + ".bias";
  bias.is_bias = true;
  weight_ = store.Add(weight.name, {out, in, kKernel}, {weight});
  bias_ = store.Add(bias.name, {out}, {bias});
}

at::Tensor Convolution::operator()(const at::Tensor& x_RC, std::shared_ptr<const ConvolutionPlan> plan) const {
  return ConvolutionFunction::apply(x_RC.contiguous(), weight_, bias_, std::move(plan), precision_);
}

}  // namespace strata::model
