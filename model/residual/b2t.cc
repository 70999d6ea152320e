// Bottom-to-top connection (Takase et al., Eq. 5). Post-LN, but the layer's input skips every normalisation except the
// last one of the layer: x <- LN(x_inp + x + FFN(x)). No dropout on the bypass.
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class B2t final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return AddNormAt(at, x_ND, f(x_ND), {.bypass_ND = at.last ? input_ND : Tensor()});
  }
};

REGISTER_SCHEME("b2t", B2t,
                {.summary = "Post-LN with a bypass from the layer's input to its last normalisation",
                 .source = "Takase et al., Eq. (5)"});

}  // namespace
}  // namespace strata::model
