// Admin (Liu et al. 2020): x <- LN(w_i * x + f_i(x)) for each sub-layer i of a stack, w_i a learned vector of the
// width. Before training, one pass of one batch fills it: w_1 = 1, w_(i+1) = sqrt(var(w_i * x) + var(f_i(x))), x the
// sub-layer's input, f_i after its dropout, the population variance over all elements, padding included.
#include <ATen/ATen.h>

#include <cmath>

#include "model/residual/residual_scheme.h"
#include "model/residual/zero_bias.h"

namespace strata::model {
namespace {

class Admin final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  void Build(ParameterStore& parameters) override {
    ResidualScheme::Build(parameters);
    for (int64_t layer = 0; layer < shape().layers; ++layer) {
      for (const SublayerKind kind : shape().sublayers) {
        const std::string name = shape().name + ".layers." + std::to_string(layer) + "." + RatioName(kind);
        weights_.push_back(parameters.Add(name, {shape().dim},
                                          {{.name = name,
                                            .role = Role::kScheme,
                                            .stack = shape().name,
                                            .layer = layer,
                                            .initial = Initial::Constant(1)}}));
      }
    }
  }

  void Init(ParameterPart& part) const override { ZeroBias(part); }

  bool NeedsProfile() const override { return true; }
  void BeginProfile() override { next_ = 1; }
  void EndProfile() override { next_ = 0; }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    const Tensor& weights_D = weights_[at.layer * static_cast<int64_t>(shape().sublayers.size()) + at.sublayer];
    if (next_ > 0) return Measure(at, x_ND, f, weights_D);
    return AddNormAt(at, x_ND, f(x_ND), {.x_weights_D = weights_D});
  }

 private:
  // The names of the authors' repository.
  const char* RatioName(SublayerKind kind) const {
    switch (kind) {
      case SublayerKind::kSelfAttention:
        return shape().name == "encoder" ? "attention_ratio_change" : "self_ratio_change";
      case SublayerKind::kCrossAttention:
        return "encoder_ratio_change";
      case SublayerKind::kFeedForward:
        return "fc_ratio_change";
    }
    return "";
  }

  Tensor Measure(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& weights_D) {
    weights_D.detach().fill_(next_);
    const Branch branch = f(x_ND);
    const Tensor dropped_ND = Dropout(branch.value_ND, branch.dropout);
    const auto variance = [](const Tensor& values) { return at::var(values, /*unbiased=*/false).item<double>(); };
    next_ = std::sqrt(variance(x_ND * weights_D) + variance(dropped_ND));
    return AddNormAt(at, x_ND, {dropped_ND, {}}, {.x_weights_D = weights_D});
  }

  std::vector<Tensor> weights_;  // by sub-layer, in order
  double next_ = 0;              // during a profile: what the next sub-layer's weights become
};

REGISTER_SCHEME(
    "admin", Admin,
    {.summary =
         "Post-LN with learned weights of the residual connections, set by a profile of one batch before training",
     .source = "Liu et al. 2020, \"Understanding the Difficulty of Training Transformers\""});

}  // namespace
}  // namespace strata::model
