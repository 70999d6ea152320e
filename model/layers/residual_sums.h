// What add_norm.cc hands to the loops over a residual sum and its norm, and what these give back.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers/add_norm.h"
#include "model/layers/kernels.h"

namespace strata::model {

inline constexpr double kNormEpsilon = 1e-5;

inline bool IsPlain(const ResidualTerms& terms) {
  return !terms.x_weights_D.defined() && terms.x == 1 && terms.branch == 1 && terms.bypass == 1;
}

// The terms of a sum [N, D] and its norm; all but x may be undefined. `keep`: a backward pass follows.
struct SumCall {
  at::Tensor x, branch;
  ResidualTerms terms;
  at::Tensor gamma, beta, after;
  DropoutSite site;
  bool keep = false;
};

// `y` only where gamma is defined, `statistics` ([N, 2]: mean, 1 / deviation) and `sum` only where wanted.
struct Sums {
  at::Tensor sum, y, statistics;
};

// What a backward pass needs. `sum`, `statistics` and `gamma` are undefined without a norm, `x` without weights; of
// `terms` no tensor but the weights is looked at.
struct SavedSum {
  at::Tensor sum, statistics, gamma, x;
  ResidualTerms terms;
  bool has_branch = false, has_bypass = false;
  DropoutSite site;
};

// The gradients of a residual sum's terms and of its norm; undefined where there is nothing of the kind. Terms that
// count alike share one gradient.
struct SumGradients {
  at::Tensor x, branch, bypass, x_weights, gamma, beta;
};

}  // namespace strata::model
