// Decoding one position at a time on processors, by the kernels that were written for it.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decode/incremental_decoder.h"
#include "model/decode/packed_linear.h"

namespace strata::model {

// Keys and values are float32 in every precision, as is all but the factors of the linear layers.
class CpuDecoder final : public IncrementalDecoder {
 public:
  // memory_MD: what the encoder gave, in rows as `source` says.
  CpuDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
             const at::Tensor& memory_MD, const Packing& source);

 private:
  struct Layer {
    PackedLinear query, key_value, out;  // self-attention
    PackedLinear cross_query, cross_out;
    PackedLinear fc1, fc2;
    at::Tensor memory_M2D;  // keys and values of the source
  };

  void Arrange() override;
  at::Tensor SelfAttention(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor CrossAttention(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor FeedForward(size_t layer, const at::Tensor& h_RD) override;
  at::Tensor Logits(const at::Tensor& h_RD) override;
  at::Tensor Attend(const at::Tensor& q_RD, const at::Tensor& keys_values, const std::vector<const int64_t*>& index,
                    const std::vector<int64_t>& counts) const;

  PackedLinear output_;
  const Packing& source_;
  std::vector<Layer> layers_;
  std::vector<const int64_t*> past_index_, memory_index_;  // of this step's rows
  std::vector<int64_t> past_counts_, memory_counts_;
  std::vector<int64_t> memory_rows_;  // 0 .. M - 1
};

}  // namespace strata::model
