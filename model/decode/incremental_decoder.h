// The decoder of an encoder-decoder one position at a time, with the keys and values of what went before kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decode/beam_search.h"
#include "model/layers/embedding.h"
#include "model/layers/stack.h"

namespace strata::model {

// Embeddings of the target and of the output, which may be one.
struct TargetTables {
  at::Tensor target_VD, output_VD;
};

// For one batch of sources. What it is given must outlive it. No gradients; dropout off.
class IncrementalDecoder final : public StepModel {
 public:
  // memory_MD: what the encoder gave, in rows as `source` says.
  IncrementalDecoder(const ModelConfig& config, Stack& stack, TargetTables tables, Positions& positions,
                     const at::Tensor& memory_MD, const Packing& source);

  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) override;

 private:
  void Continue(const std::vector<int64_t>& from);
  at::Tensor EmbedTokens(const std::vector<int64_t>& tokens);
  AttentionPlan SelfPlan() const;
  AttentionPlan CrossPlan() const;
  at::Tensor StepSelfAttention(const Attention& attention, int64_t layer, const at::Tensor& h_RD, const AttentionPlan& plan);

  const ModelConfig& config_;
  Stack& stack_;
  TargetTables tables_;
  Positions& positions_;
  const Packing& source_;
  Pass pass_;
  std::vector<at::Tensor> memory_;  // [M, 2D] a layer: keys and values of the source
  std::vector<at::Tensor> cache_;   // [R, capacity, 2D] a layer: keys and values of what is decoded already
  std::vector<int64_t> sentences_;  // of each row
  int64_t step_ = 0, capacity_ = 0;
};

}  // namespace strata::model
