// Initialisations that several repositories share.
#pragma once

#include "model/layers/parameters.h"

namespace strata::model {

inline bool IsFeedForward(const ParameterPart& part) { return part.role == Role::kFc1 || part.role == Role::kFc2; }
// A bias of a layer's sub-layers; no norm's.
inline bool IsSublayerBias(const ParameterPart& part) {
  return part.layer >= 0 && part.is_bias && part.role != Role::kNorm;
}

// Feed-forward weights xavier uniform, their biases zero. Leaves other parts alone.
inline void XavierFeedForward(ParameterPart& part) {
  if (!IsFeedForward(part)) return;
  part.initial = part.is_bias ? Initial::Constant(0) : Initial::XavierUniform(part.fan_in, part.fan_out);
}

// "Zero-bias": feed-forward weights xavier uniform, every bias of the sub-layers zero, the rest as the base draws it.
inline void ZeroBias(ParameterPart& part) {
  XavierFeedForward(part);
  if (IsSublayerBias(part)) part.initial = Initial::Constant(0);
}

}  // namespace strata::model
