// Multi-head attention over packed sentences, one joint projection for queries, keys and values.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/layers/packing.h"
#include "model/layers/parameters.h"
#include "model/layers/pass.h"

namespace strata::model {

class DeviceAttentionPlan;

// Who asks whom in one batch, shared by all layers. Not thread-safe where the layers are on a device.
struct AttentionPlan {
  std::vector<AttentionSpan> spans;
  int64_t probabilities = 0;  // numbers that all layers' rows of probabilities hold, for each layer
  int64_t heads = 0;
  bool causal = false;
  mutable std::shared_ptr<const DeviceAttentionPlan> on_device;  // made by the first layer that needs it
};
std::shared_ptr<const AttentionPlan> PlanAttention(const Packing& queries, const Packing& keys, int64_t heads, bool causal);

class Attention {
 public:
  // `prefix` is the attention's ("decoder.layers.0.encoder_attn"). Parameters in_proj_weight [3D, D] (rows of q, then k,
  // then v), in_proj_bias, out_proj.weight, out_proj.bias.
  Attention(ParameterStore& parameters, const std::string& prefix, const std::string& stack, int64_t layer, int64_t dim,
            int64_t heads, bool cross, Precision precision);

  int64_t heads() const { return heads_; }

  // Queries, keys and values of x.
  at::Tensor Self(const at::Tensor& x_ND, std::shared_ptr<const AttentionPlan> plan, const DropoutSite& dropout) const;
  // Queries of x, keys and values of memory.
  at::Tensor Cross(const at::Tensor& x_ND, const at::Tensor& memory_MD, std::shared_ptr<const AttentionPlan> plan,
                   const DropoutSite& dropout) const;

  // For incremental decoding, no gradients: keys and values [M, 2D] of memory.
  at::Tensor ProjectKeysValues(const at::Tensor& memory_MD) const;
  const at::Tensor& in_weight() const { return in_weight_; }
  const at::Tensor& in_bias() const { return in_bias_; }
  const at::Tensor& out_weight() const { return out_weight_; }
  const at::Tensor& out_bias() const { return out_bias_; }

 private:
  int64_t dim_, heads_;
  Precision precision_;
  at::Tensor in_weight_, in_bias_, out_weight_, out_bias_;
};

}  // namespace strata::model
