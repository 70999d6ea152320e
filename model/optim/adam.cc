#include "model/optim/adam.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

namespace strata::model {

Adam::Adam(std::vector<NamedParameter> parameters, AdamOptions options)
    : flat_(std::move(parameters)),
      options_(options),
      first_(at::zeros_like(flat_.weights())),
      second_(at::zeros_like(flat_.weights())) {}

void Adam::Step(double learning_rate, double gradient_divisor) {
  at::NoGradGuard no_grad;
  ++steps_;
  // LibTorch's kernel corrects eps too: sqrt(v / c2) + eps. With eps / sqrt(c2) in eps's place it is fairseq's step.
  const double correction2 = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  const at::Tensor step = at::full({}, static_cast<double>(steps_), flat_.weights().options());
  std::optional<at::Tensor> divisor;
  if (gradient_divisor != 1) divisor = at::full({}, gradient_divisor, flat_.weights().options());
  at::_fused_adamw_({flat_.weights()}, {flat_.gradients()}, {first_}, {second_}, {}, {step}, learning_rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon / std::sqrt(correction2),
                    /*amsgrad=*/false,
                    /*maximize=*/false, divisor, std::nullopt);
}

std::vector<NamedParameter> Adam::State() const {
  std::vector<NamedParameter> state;
  for (const auto& [kind, flat] : {std::pair<std::string, at::Tensor>{"first.", first_}, {"second.", second_}}) {
    for (size_t i = 0; i < flat_.parameters().size(); ++i) {
      state.push_back({kind + flat_.parameters()[i].name, flat_.View(flat, i)});
    }
  }
  return state;
}

}  // namespace strata::model
