// The decoder of an encoder-decoder one position at a time, with the keys and values of what went before kept. What its
// layers compute is the derived class' part: CpuDecoder's or DeviceDecoder's.
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

// For one batch of sources. What it is given must outlive it; weights are copied when it is made. No gradients; dropout off.
//
// Keys and values are appended, one row a hypothesis and position, and never moved: each hypothesis keeps the list of the rows
// that are its own past. Rows of hypotheses that died stay until the batch is done.
class IncrementalDecoder : public StepModel {
 public:
  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) final;

 protected:
  IncrementalDecoder(const ModelConfig& config, Stack& stack, const at::Tensor& target_table_VD, Positions& positions,
                     int64_t batch);

  // Called once a step, before the layers: pasts() and sentences() are this step's.
  virtual void Arrange() = 0;
  virtual at::Tensor SelfAttention(size_t layer, const at::Tensor& h_RD) = 0;
  virtual at::Tensor CrossAttention(size_t layer, const at::Tensor& h_RD) = 0;
  virtual at::Tensor FeedForward(size_t layer, const at::Tensor& h_RD) = 0;
  virtual at::Tensor Logits(const at::Tensor& h_RD) = 0;

  const ModelConfig& config() const { return config_; }
  // Positions that each row sees with this step's.
  int64_t seen() const { return step_ + 1; }
  // This step's rows stand from here on among all that were appended.
  int64_t first_row() const { return first_row_; }
  // Of each row: the appended rows that it sees, its own the last.
  const std::vector<std::vector<int64_t>>& pasts() const { return pasts_; }
  // Of each row.
  const std::vector<int64_t>& sentences() const { return sentences_; }
  // Keys and values of the self-attention of `layer`, [P, 2 D] with room for this step's rows.
  at::Tensor& past(size_t layer) { return pasts_P2D_[layer]; }

 private:
  void Continue(const std::vector<int64_t>& from);
  void MakeRoom(int64_t rows);
  at::Tensor EmbedTokens(const std::vector<int64_t>& tokens);

  const ModelConfig& config_;
  Stack& stack_;
  at::Tensor target_table_VD_;
  Positions& positions_;
  Pass pass_;
  std::vector<at::Tensor> pasts_P2D_;  // by layer
  int64_t step_ = 0, first_row_ = 0;
  std::vector<std::vector<int64_t>> pasts_;
  std::vector<int64_t> sentences_;
};

}  // namespace strata::model
