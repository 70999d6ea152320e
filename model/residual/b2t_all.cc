// Bottom-to-top connection over the last normalisation too (Takase et al., footnote 1): b2t, but
// x <- x_inp + LN(x + FFN(x)) ends a layer. The paper tried and rejected it; here the finding can be checked.
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class B2tAll final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return AddNormAt(at, x_ND, f(x_ND), {}, at.last ? input_ND : Tensor());
  }
};

REGISTER_SCHEME("b2t_all", B2tAll,
                {.summary = "Post-LN with a bypass from the layer's input over all of its normalisations",
                 .source = "Takase et al., footnote 1"});

}  // namespace
}  // namespace strata::model
