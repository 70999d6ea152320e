// Dynamic linear combination of layers (Wang et al. 2019): what enters layer l, and what leaves the stack at the top,
// is a learned weighted sum of y_0, what enters the stack, and y_1 .. y_l, the outputs of the layers before. Row k of
// the weights starts at 1 / (k + 1) on its first k + 1 entries. Inner layers are Post-LN or Pre-LN. Post: LN_k(sum w y)
// with nothing at k = 0. Pre: sum w LN_k(y_k), the embedding as it is, and a final LN.
#include "model/residual/residual_scheme.h"
#include "model/residual/zero_bias.h"

namespace strata::model {
namespace {

class Dlcl final : public ResidualScheme {
 public:
  explicit Dlcl(StackShape stack) : ResidualScheme(std::move(stack)), pre_(Option("inner") == "pre_ln") {}

  void Build(ParameterStore& parameters) override {
    ResidualScheme::Build(parameters);
    const std::string history = shape().name + ".history";
    const int64_t rows = shape().layers + 1;
    weights_ = parameters.Add(
        history + ".weight", {rows, rows, 1},
        {{.name = history + ".weight", .role = Role::kScheme, .stack = shape().name, .initial = Initial::Averages()}});
    history_norms_.resize(static_cast<size_t>(rows));
    for (int64_t k = 1; k < rows; ++k) {
      history_norms_[k] =
          LayerNorm(parameters, history + ".layer_norms." + std::to_string(k), shape().name, /*layer=*/-1, shape().dim);
    }
    if (pre_) final_ = LayerNorm(parameters, shape().name + ".layer_norm", shape().name, /*layer=*/-1, shape().dim);
  }

  void Init(ParameterPart& part) const override { ZeroBias(part); }

  bool KeepsHistory() const override { return true; }
  Tensor LayerInput(int64_t layer, const History& history, Pass& pass) override { return Combined(layer, history); }

  Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) override {
    return pre_ ? NormAddAt(at, x_ND, f) : AddNormAt(at, x_ND, f(x_ND));
  }

  Tensor StackOutput(const History& history, Pass& pass) override {
    const Tensor out_ND = Combined(shape().layers, history);
    normed_.clear();
    return pre_ ? final_(out_ND) : out_ND;
  }

 private:
  // Row k of the combination; called for k = 0, 1, .. within a pass.
  Tensor Combined(int64_t k, const History& history) {
    if (!pre_) {
      const Tensor sum_ND = Combine(weights_, k, history);
      return k == 0 ? sum_ND : history_norms_[k](sum_ND);
    }
    if (k == 0) normed_.clear();
    normed_.push_back(k == 0 ? history[0] : history_norms_[k](history[k]));
    return Combine(weights_, k, normed_);
  }

  bool pre_;
  Tensor weights_;                        // [L + 1, L + 1, 1]
  std::vector<LayerNorm> history_norms_;  // [L + 1], the first is none
  LayerNorm final_;                       // inner Pre-LN only
  History normed_;                        // inner Pre-LN only: what this pass has normed so far
};

REGISTER_SCHEME("dlcl", Dlcl,
                {.summary = "each layer gets a learned weighted sum of the outputs of all layers before it",
                 .source = "Wang et al. 2019, \"Learning Deep Transformer Models for Machine Translation\"",
                 .options = {{.name = "inner",
                              .summary = "how the layers themselves are normalised",
                              .default_value = "post_ln",
                              .choices = {"post_ln", "pre_ln"}}}});

}  // namespace
}  // namespace strata::model
