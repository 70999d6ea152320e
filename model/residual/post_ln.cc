// Post-LN (Takase et al., Eq. 1; Vaswani et al. 2017): x <- LN(x + f(x)) for each sub-layer.
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class PostLn final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return AddNormAt(at, x_ND, f(x_ND));
  }
};

REGISTER_SCHEME("post_ln", PostLn,
                {.summary = "normalisation after each residual connection", .source = "Takase et al., Eq. (1)"});

}  // namespace
}  // namespace strata::model
