#include "model/layers/feed_forward.h"

#include <cmath>

#include "model/layers/autograd_types.h"
#include "model/layers/device_rows.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

// dropout(relu(h + bias)), in h's memory where that can be.
at::Tensor RunBiasRelu(const at::Tensor& h, const at::Tensor& bias, const DropoutSite& site) {
  if (!UsesKernels(h)) return BiasReluOnDevice(h, bias, site);
  ByType(h, [&](auto zero) {
    using T = decltype(zero);
    at::parallel_for(0, h.size(0), kRowGrain, [&](int64_t begin, int64_t end) {
      GetKernels<T>().bias_relu(MutableData<T>(h), Data<T>(bias), h.size(1), site, begin, end);
    });
  });
  return h;
}

struct HiddenGradients {
  at::Tensor h, bias;
};
HiddenGradients RunReluBackward(const at::Tensor& d_h, const at::Tensor& h, double scale) {
  if (!UsesKernels(h)) {
    const at::Tensor d = ReluBackwardOnDevice(d_h, h, scale);
    return {d, ColumnSums(d)};
  }
  const at::Tensor d_bias = at::zeros({h.size(1)}, h.options());
  ByType(h, [&](auto zero) {
    using T = decltype(zero);
    GetKernels<T>().relu_backward(MutableData<T>(d_h), Data<T>(h), MutableData<T>(d_bias), h.size(1), scale, 0, h.size(0));
  });
  return {d_h, d_bias};
}

class FeedForwardFunction : public torch::autograd::Function<FeedForwardFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight1, const at::Tensor& bias1,
                            const at::Tensor& weight2, const at::Tensor& bias2, DropoutSite site, Precision precision) {
    const at::Tensor hidden = RunBiasRelu(Product(x, weight1.t(), precision), bias1, site);
    context->save_for_backward({x, hidden, weight1, weight2});
    context->saved_data["scale"] = 1 / (1 - site.rate);
    context->saved_data["precision"] = static_cast<int64_t>(precision);
    return Product(bias2, hidden, weight2.t(), precision);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &hidden = saved[1], &weight1 = saved[2], &weight2 = saved[3];
    const auto precision = static_cast<Precision>(context->saved_data["precision"].toInt());
    const at::Tensor d_y = gradients[0].contiguous();
    const HiddenGradients d_hidden =
        RunReluBackward(Product(d_y, weight2, precision), hidden, context->saved_data["scale"].toDouble());
    return {Product(d_hidden.h, weight1, precision),
            Product(d_hidden.h.t(), x, precision),
            d_hidden.bias,
            Product(d_y.t(), hidden, precision),
            ColumnSums(d_y),
            at::Tensor(),
            at::Tensor()};
  }
};

}  // namespace

FeedForward::FeedForward(ParameterStore& parameters, const std::string& prefix, const std::string& stack, int64_t layer,
                         int64_t dim, int64_t inner, Precision precision)
    : precision_(precision) {
  const auto add = [&](const std::string& name, Role role, bool is_bias, int64_t out, int64_t in) {
    // torch's Linear: uniform within 1 / sqrt(fan in), weight and bias alike.
    const ParameterPart part{.name = prefix + "." + name,
                             .role = role,
                             .is_bias = is_bias,
                             .stack = stack,
                             .layer = layer,
                             .fan_in = in,
                             .fan_out = out,
                             .initial = Initial::Uniform(1 / std::sqrt(static_cast<double>(in)))};
    return is_bias ? parameters.Add(part.name, {out}, {part}) : parameters.Add(part.name, {out, in}, {part});
  };
  weight1_ = add("fc1.weight", Role::kFc1, false, inner, dim);
  bias1_ = add("fc1.bias", Role::kFc1, true, inner, dim);
  weight2_ = add("fc2.weight", Role::kFc2, false, dim, inner);
  bias2_ = add("fc2.bias", Role::kFc2, true, dim, inner);
}

at::Tensor FeedForward::operator()(const at::Tensor& x_ND, const DropoutSite& activation) const {
  return FeedForwardFunction::apply(x_ND, weight1_, bias1_, weight2_, bias2_, activation, precision_);
}

}  // namespace strata::model
