// Sums of a residual and a sub-layer's output, and layer normalisation, fused into one loop each way.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

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

// x + dropout(branch).
at::Tensor Add(const at::Tensor& x_ND, const Branch& branch);

// norm(x + dropout(branch)), or norm(x + dropout(branch) + bypass) where bypass is defined.
at::Tensor AddNorm(const at::Tensor& x_ND, const Branch& branch, const at::Tensor& bypass_ND, const LayerNorm& norm);

// dropout(x).
at::Tensor Dropout(const at::Tensor& x_ND, const DropoutSite& site);

}  // namespace strata::model
