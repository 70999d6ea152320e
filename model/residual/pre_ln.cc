// Pre-LN (Takase et al., Eq. 2): x <- x + f(LN(x)) for each sub-layer, and one LN at the end of each stack. A model of
// one stack (a language model) has none there by default, as in the paper's base.
#include "model/residual/residual_scheme.h"

namespace strata::model {
namespace {

class PreLn final : public ResidualScheme {
 public:
  using ResidualScheme::ResidualScheme;

  void Build(ParameterStore& parameters) override {
    ResidualScheme::Build(parameters);
    const std::string wanted = Option("final_norm");
    if (wanted == "true" || (wanted == "auto" && shape().encoder_layers > 0)) {
      final_ = LayerNorm(parameters, shape().name + ".layer_norm", shape().name, /*layer=*/-1, shape().dim);
    }
  }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return NormAddAt(at, x_ND, f);
  }

  Tensor StackOutput(const History& history, Pass& pass) override {
    return final_.defined() ? final_(history.back()) : history.back();
  }

 private:
  LayerNorm final_;
};

REGISTER_SCHEME(
    "pre_ln", PreLn,
    {.summary = "normalisation before each sub-layer, and at the stack's end",
     .source = "Takase et al., Eq. (2)",
     .options = {
         {.name = "final_norm",
          .summary = "a normalisation at the end of each stack; auto: with an encoder yes, in a decoder only no",
          .default_value = "auto",
          .choices = {"auto", "true", "false"}}}});

}  // namespace
}  // namespace strata::model
