// Adam as fairseq runs it: p -= lr sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + eps), eps not bias-corrected; weight
// decay shrinks a weight by lr x decay before the step.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "model/optim/flat_parameters.h"

namespace strata::model {

struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.98;
  double epsilon = 1e-8;
  double weight_decay = 0;
};

// Takes the model's parameters over into flat buffers (see flat_parameters.h); gradients are read from there, so they
// are the parameters' .grad(). A training step:
//
//   adam.ZeroGradients();  loss.backward();  adam.Step(rate, /*gradient_divisor=*/tokens);
//
// Owns the moments. Not thread-safe. The update is one fused pass (LibTorch's, threaded by its intra-op pool).
class Adam {
 public:
  Adam(std::vector<NamedParameter> parameters, AdamOptions options);

  // One update with all gradients divided by `gradient_divisor` (which leaves them so divided in the buffer unless it
  // is 1).
  void Step(double learning_rate, double gradient_divisor = 1);

  void ZeroGradients() { flat_.ZeroGradients(); }
  FlatParameters& flat() { return flat_; }
  const FlatParameters& flat() const { return flat_; }

  int64_t steps() const { return steps_; }
  // Both moments of every parameter: "first.<name>", "second.<name>", as views in the parameters' shapes.
  std::vector<NamedParameter> State() const;
  // After the moments were written through State().
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  FlatParameters flat_;
  AdamOptions options_;
  int64_t steps_ = 0;
  at::Tensor first_;   // [N]
  at::Tensor second_;  // [N]
};

}  // namespace strata::model
