// Decoding one position at a time on a device, with LibTorch's operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decode/incremental_decoder.h"
#include "model/layers/device_attention.h"

namespace strata::model {

// Logits stay on the device, and nothing here waits for it. A step gathers each hypothesis' own past, some rows at a time, so
// that what is gathered stays in bounds. In bf16 the weights of linear layers are kept rounded, and all else is float32.
class DeviceDecoder final : public IncrementalDecoder {
 public:
  // memory_MD: what the encoder gave, in rows as `source` says; its device is where all is computed.
  DeviceDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                const at::Tensor& memory_MD, const Packing& source);

 private:
  struct LinearLayer {
    at::Tensor weight_KC, bias_C;  // the weight transposed and, in bf16, rounded; bias may be undefined
  };
  struct Layer {
    LinearLayer query_key_value, out, cross_query, cross_out, fc1, fc2;
    at::Tensor memory_keys, memory_values;  // [B, H, S, d]
  };

  LinearLayer Kept(const at::Tensor& weight_CK, const at::Tensor& bias_C) const;
  at::Tensor Apply(const LinearLayer& linear, const at::Tensor& x_NK) const;
  void Arrange() override;
  at::Tensor SelfAttention(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor CrossAttention(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor FeedForward(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor Logits(const at::Tensor& h_RD) override;

  const at::Device device_;
  LinearLayer output_;
  std::vector<Layer> layers_;
  at::Tensor memory_hidden_, memory_keyless_;  // as AttentionProbabilities takes them
  at::Tensor past_rows_RT_;                    // this step's pasts, on the device
  HeadPlaces queries_;                         // this step's rows side by side, by sentence
};

}  // namespace strata::model
