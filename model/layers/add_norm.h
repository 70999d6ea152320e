// Sums of a residual and a sub-layer's output, and layer normalisation, fused into one loop each way.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "model/layers/parameters.h"
#include "model/layers/pass.h"

namespace strata::model {

// Layer normalisation over the last dimension, epsilon 1e-5; gamma starts at 1, beta at 0.
class LayerNorm {
 public:
  LayerNorm() = default;
  LayerNorm(ParameterStore& parameters, const std::string& name, const std::string& stack, int64_t layer, int64_t dim);

  bool defined() const { return gamma_.defined(); }
  const at::Tensor& gamma() const { return gamma_; }
  const at::Tensor& beta() const { return beta_; }
  at::Tensor operator()(const at::Tensor& x_ND) const;

 private:
  at::Tensor gamma_, beta_;
};

// How the terms of a residual sum count: x * x_weights * X + branch * dropout(BRANCH) + bypass * BYPASS.
struct ResidualTerms {
  at::Tensor bypass_ND = {};    // BYPASS; undefined: none
  at::Tensor x_weights_D = {};  // learned; undefined: none
  double x = 1, branch = 1, bypass = 1;
};

// The sum.
at::Tensor Add(const at::Tensor& x_ND, const Branch& branch, const ResidualTerms& terms = {});

// norm(the sum), + after where it is defined.
at::Tensor AddNorm(const at::Tensor& x_ND, const Branch& branch, const ResidualTerms& terms, const LayerNorm& norm,
                   const at::Tensor& after_ND = {});

// The sum over i of weights[row][i] * inputs[i]. weights: [R, C] or [R, C, 1] with C >= the number of inputs, which is
// at least 1.
at::Tensor Combine(const at::Tensor& weights, int64_t row, const std::vector<at::Tensor>& inputs_ND);

// dropout(x).
at::Tensor Dropout(const at::Tensor& x_ND, const DropoutSite& site);

}  // namespace strata::model
