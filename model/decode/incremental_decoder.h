// The decoder of an encoder-decoder one position at a time, with the keys and values of what went before kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/decode/beam_search.h"
#include "model/decode/packed_linear.h"
#include "model/layers/embedding.h"
#include "model/layers/stack.h"

namespace strata::model {

// Embeddings of the target and of the output, which may be one.
struct TargetTables {
  at::Tensor target_VD, output_VD;
};

// For one batch of sources. What it is given must outlive it; weights are copied when it is made. No gradients; dropout off.
//
// Keys and values are appended, one row a hypothesis and position, and never moved: each hypothesis keeps the list of the rows
// that are its own past. Rows of hypotheses that died stay until the batch is done. They are float32 in every precision, as is
// all but the factors of the linear layers.
class IncrementalDecoder final : public StepModel {
 public:
  // memory_MD: what the encoder gave, in rows as `source` says.
  IncrementalDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                     const at::Tensor& memory_MD, const Packing& source);

  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) override;

 private:
  struct Layer {
    PackedLinear query, key_value, out;      // self-attention
    PackedLinear cross_query, cross_out;
    PackedLinear fc1, fc2;
    at::Tensor memory_M2D;  // keys and values of the source
    at::Tensor past_P2D;    // keys and values of what is decoded already
  };

  void Continue(const std::vector<int64_t>& from);
  at::Tensor EmbedTokens(const std::vector<int64_t>& tokens);
  at::Tensor SelfAttention(Layer& layer, const at::Tensor& h_RD);
  at::Tensor CrossAttention(const Layer& layer, const at::Tensor& h_RD) const;
  at::Tensor Attend(const at::Tensor& q_RD, const at::Tensor& keys_values, const std::vector<const int64_t*>& index,
                    const std::vector<int64_t>& counts) const;

  const ModelConfig& config_;
  Stack& stack_;
  at::Tensor target_table_VD_;
  PackedLinear output_;
  Positions& positions_;
  const Packing& source_;
  Pass pass_;
  std::vector<Layer> layers_;
  int64_t step_ = 0, first_row_ = 0;                // of this step's rows among all that were appended
  std::vector<std::vector<int64_t>> pasts_;         // of each row: the appended rows that it sees
  std::vector<const int64_t*> past_index_, memory_index_;
  std::vector<int64_t> past_counts_, memory_counts_;
  std::vector<int64_t> memory_rows_;                // 0 .. M - 1
  std::vector<int64_t> sentences_;                  // of each row
};

}  // namespace strata::model
