// The decoder of an encoder-decoder one position at a time on a device, with the keys and values of what went before
// kept: what IncrementalDecoder is on processors, written with LibTorch's operations.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decode/beam_search.h"
#include "model/decode/incremental_decoder.h"
#include "model/layers/device_attention.h"
#include "model/layers/embedding.h"
#include "model/layers/stack.h"

namespace strata::model {

// For one batch of sources. What it is given must outlive it. No gradients; dropout off. Logits stay on the device, and
// nothing here waits for it.
//
// Keys and values are appended, one row a hypothesis and position, and never moved; a step gathers each hypothesis' own
// past, some rows at a time, so that what is gathered stays in bounds. In bf16 the weights of linear layers are kept rounded,
// and all else is float32.
class DeviceDecoder final : public StepModel {
 public:
  // memory_MD: what the encoder gave, in rows as `source` says.
  DeviceDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                const at::Tensor& memory_MD, const Packing& source);

  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) override;

 private:
  struct LinearLayer {
    at::Tensor weight_KC, bias_C;  // the weight transposed and, in bf16, rounded; bias may be undefined
  };
  struct Layer {
    LinearLayer query_key_value, out, cross_query, cross_out, fc1, fc2;
    at::Tensor memory_keys, memory_values;  // [B, H, S, d]
    at::Tensor past_P2D;                    // keys and values of what is decoded already
  };

  LinearLayer Kept(const at::Tensor& weight_CK, const at::Tensor& bias_C) const;
  at::Tensor Apply(const LinearLayer& linear, const at::Tensor& x_NK) const;
  void Continue(const std::vector<int64_t>& from);
  void MakeRoom(int64_t rows);
  at::Tensor EmbedTokens(const std::vector<int64_t>& tokens);
  at::Tensor SelfAttention(Layer& layer, const at::Tensor& h_RD);
  at::Tensor CrossAttention(const Layer& layer, const at::Tensor& h_RD) const;

  const ModelConfig& config_;
  Stack& stack_;
  at::Tensor target_table_VD_;
  LinearLayer output_;
  Positions& positions_;
  Pass pass_;
  std::vector<Layer> layers_;
  at::Tensor memory_hidden_, memory_keyless_;  // as AttentionProbabilities takes them
  int64_t step_ = 0, first_row_ = 0;           // of this step's rows among all that were appended
  std::vector<std::vector<int64_t>> pasts_;    // of each row: the appended rows that it sees
  std::vector<int64_t> sentences_;             // of each row
  at::Tensor past_rows_RT_;                    // this step's pasts, on the device
  HeadPlaces queries_;                         // this step's rows side by side, by sentence
};

}  // namespace strata::model
