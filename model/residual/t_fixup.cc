// T-Fixup (Huang et al. 2020): x <- x + f(x) for each sub-layer, no normalisation anywhere and no warm-up; the
// initialisation alone keeps the updates small. Of a stack of L layers: embeddings N(0, d^-1/2) times (9L)^(-1/4); in
// the encoder fc1, fc2, out_proj times 0.67 L^(-1/4) and value times 0.67 L^(-1/4) sqrt 2; in the decoder the same
// four, cross-attention's included, by (9L)^(-1/4); all of that from xavier uniform feed-forward weights with zero
// biases.
#include <cmath>

#include "model/residual/residual_scheme.h"
#include "model/residual/zero_bias.h"

namespace strata::model {
namespace {

class TFixup final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  void Build(ParameterStore& parameters) override {}

  void Init(ParameterPart& part) const override {
    XavierFeedForward(part);
    if (part.is_bias) return;
    const double layers = static_cast<double>(shape().layers);
    const double by_depth = std::pow(9 * layers, -0.25);
    const double in_layer = shape().name == "encoder" ? 0.67 * std::pow(layers, -0.25) : by_depth;
    switch (part.role) {
      case Role::kEmbedding:
        part.initial.amount *= by_depth;
        break;
      case Role::kValue:
        part.initial.amount *= in_layer * std::sqrt(2.0);
        break;
      case Role::kOutProjection:
      case Role::kFc1:
      case Role::kFc2:
        part.initial.amount *= in_layer;
        break;
      default:
        break;
    }
  }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return Add(x_ND, f(x_ND));
  }
};

REGISTER_SCHEME(
    "t_fixup", TFixup,
    {.summary = "no normalisation and no warm-up, an initialisation scaled by depth instead",
     .source = "Huang, Perez, Ba, Volkovs 2020, \"Improving Transformer Optimization Through Better Initialization\"",
     .schedule = "inverse_sqrt_no_warmup"});

}  // namespace
}  // namespace strata::model
