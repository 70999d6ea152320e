#include "model/diagnostics/gradient_norms.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

namespace strata::model {

NormsByStack OutputGradientNorms(SequenceModel& model, const Batch& batch) {
  at::AutoGradMode with_gradients(true);
  LayerTaps taps;
  const LossSums sums = model.Loss(batch, /*training=*/false, &taps);
  std::vector<at::Tensor> outputs;
  for (const auto& [name, stack] : taps.stacks)
    outputs.insert(outputs.end(), stack.outputs_ND.begin(), stack.outputs_ND.end());
  const std::vector<at::Tensor> gradients = torch::autograd::grad(
      {sums.loss}, outputs, {}, /*retain_graph=*/std::nullopt, /*create_graph=*/false, /*allow_unused=*/true);
  at::NoGradGuard no_grad;
  NormsByStack norms;
  size_t next = 0;
  for (const auto& [name, stack] : taps.stacks) {
    for (size_t layer = 0; layer < stack.outputs_ND.size(); ++layer, ++next) {
      const at::Tensor& gradient = gradients[next];
      norms[name].push_back(gradient.defined()
                                ? at::linalg_vector_norm(gradient, 2, std::nullopt, false, at::kDouble).item<double>()
                                : 0);
    }
  }
  return norms;
}

NormsByStack ParameterGradientNorms(const FlatParameters& flat, const ModelConfig& config, double scale) {
  NormsByStack norms;
  for (const auto& [stack, layers] :
       {std::pair<std::string, int64_t>{"encoder", config.encoder_layers}, {"decoder", config.decoder_layers}}) {
    for (int64_t layer = 0; layer < layers; ++layer) {
      norms[stack].push_back(flat.GradientNorm(stack + ".layers." + std::to_string(layer) + ".", scale));
    }
  }
  return norms;
}

}  // namespace strata::model
