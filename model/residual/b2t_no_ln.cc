// B2T without layer normalisation (Takase et al., Eqs. 6 to 8): x <- x + f(x) for all sub-layers but the FFN, then
// x <- alpha x_inp + beta (x + FFN(x)), with alpha = min(L / 12, L^-0.15) by the stack's layers L and beta = d^-0.2 by
// the width d (footnote 12: other values may do better). No normalisation anywhere inside.
#include <algorithm>
#include <cmath>

#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class B2tNoLn final : public ResidualScheme {
 public:
  explicit B2tNoLn(StackShape stack) : ResidualScheme(std::move(stack)) {
    const double layers = static_cast<double>(shape().layers), dim = static_cast<double>(shape().dim);
    alpha_ = Option("alpha", std::min(layers / 12, std::pow(layers, -0.15)));
    beta_ = Option("beta", std::pow(dim, -0.2));
  }

  void Build(ParameterStore& parameters) override {}

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    if (!at.last) return Add(x_ND, f(x_ND));
    return Add(x_ND, f(x_ND), {.bypass_ND = input_ND, .x = beta_, .branch = beta_, .bypass = alpha_});
  }

 private:
  double alpha_ = 0, beta_ = 0;
};

REGISTER_SCHEME("b2t_no_ln", B2tNoLn,
                {.summary = "B2T without any normalisation, its two terms weighted by depth and width",
                 .source = "Takase et al., Eqs. (6) to (8)",
                 .options = {
                     {.name = "alpha",
                      .summary = "weight of the layer's input; auto: min(L / 12, L^-0.15), L the layers of the stack",
                      .default_value = "auto",
                      .min = 0,
                      .max = 10},
                     {.name = "beta",
                      .summary = "weight of the rest of the layer; auto: d^-0.2, d the width",
                      .default_value = "auto",
                      .min = 0,
                      .max = 10}}});

}  // namespace
}  // namespace strata::model
