// DeepNet (Wang et al. 2022): x <- LN(a x + f(x)) for each sub-layer. With an encoder of N layers and a decoder of M:
// a = 0.81 (N^4 M)^(1/16) in the encoder, (3M)^(1/4) in the decoder; one stack of M: a = (2M)^(1/4). Weights of fc1,
// fc2, value and out_proj start smaller by b = 0.87 (N^4 M)^(-1/16), (12M)^(-1/4), (8M)^(-1/4).
#include <cmath>

#include "model/residual/residual_scheme.h"
#include "model/residual/zero_bias.h"

namespace strata::model {
namespace {

class DeepNet final : public ResidualScheme {
 public:
  explicit DeepNet(StackShape stack)
      : ResidualScheme(std::move(stack)), torchscale_(Option("initialisation") == "torchscale") {
    const double n = static_cast<double>(shape().encoder_layers), m = static_cast<double>(shape().decoder_layers);
    if (shape().encoder_layers == 0) {
      alpha_ = std::pow(2 * m, 0.25);
      gain_ = std::pow(8 * m, -0.25);
    } else if (shape().name == "encoder") {
      const double depth = std::pow(std::pow(n, 4) * m, 1.0 / 16);
      alpha_ = 0.81 * depth;
      gain_ = (torchscale_ ? 1.15 : 0.87) / depth;
    } else {
      alpha_ = std::pow(3 * m, 0.25);
      gain_ = std::pow(12 * m, -0.25);
    }
  }

  void Init(ParameterPart& part) const override {
    const bool attention = part.role == Role::kQuery || part.role == Role::kKey;
    const bool scaled = part.role == Role::kValue || part.role == Role::kOutProjection || IsFeedForward(part);
    if (torchscale_) {
      if (scaled) part.initial.amount *= gain_;
    } else if (IsSublayerBias(part)) {
      part.initial = Initial::Constant(0);
    } else if (attention || scaled) {
      part.initial = Initial::XavierNormal(part.fan_in, part.fan_out, scaled ? gain_ : 1);
    }
  }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return AddNormAt(at, x_ND, f(x_ND), {.x = alpha_});
  }

 private:
  bool torchscale_;
  double alpha_ = 1, gain_ = 1;
};

REGISTER_SCHEME(
    "deepnet", DeepNet,
    {.summary = "Post-LN with residual connections that count more, and weights that start smaller, by depth",
     .source = "Wang et al. 2022, \"DeepNet: Scaling Transformers to 1,000 Layers\"",
     .options = {{.name = "initialisation",
                  .summary = "paper: xavier normal, zero biases; torchscale: the base's weights and biases, divided",
                  .default_value = "paper",
                  .choices = {"paper", "torchscale"}}}});

}  // namespace
}  // namespace strata::model
