// Pre-LN (Takase et al., Eq. 2): x <- x + f(LN(x)) for each sub-layer, and one LN at the end of each stack.
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class PreLn final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  void Build(ParameterStore& parameters) override {
    ResidualScheme::Build(parameters);
    final_ = LayerNorm(parameters, shape().name + ".layer_norm", shape().name, /*layer=*/-1, shape().dim);
  }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    Tap(at, "before_norm", x_ND);
    const Tensor normed_ND = Norm(at)(x_ND);
    Tap(at, "after_norm", normed_ND);
    return Add(x_ND, f(normed_ND));
  }

  Tensor StackOutput(const History& history, Pass& pass) override { return final_(history.back()); }

 private:
  LayerNorm final_;
};

REGISTER_SCHEME("pre_ln", PreLn,
                {.summary = "normalisation before each sub-layer, and at the stack's end", .source = "Takase et al., Eq. (2)"});

}  // namespace
}  // namespace strata::model
