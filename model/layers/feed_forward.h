// The feed-forward sub-layer: relu(x W1^T + b1) W2^T + b2.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "model/config.h"
#include "model/layers/parameters.h"
#include "model/layers/pass.h"

namespace strata::model {

class FeedForward {
 public:
  // `prefix` is the layer's ("encoder.layers.0").
  FeedForward(ParameterStore& parameters, const std::string& prefix, const std::string& stack, int64_t layer, int64_t dim,
              int64_t inner, Precision precision);

  // `activation` is the dropout behind the ReLU. The output's own dropout is the caller's.
  at::Tensor operator()(const at::Tensor& x_ND, const DropoutSite& activation) const;

  const at::Tensor& weight1() const { return weight1_; }
  const at::Tensor& bias1() const { return bias1_; }
  const at::Tensor& weight2() const { return weight2_; }
  const at::Tensor& bias2() const { return bias2_; }

 private:
  Precision precision_;
  at::Tensor weight1_, bias1_, weight2_, bias2_;
};

}  // namespace strata::model
