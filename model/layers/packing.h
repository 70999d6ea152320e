// Batches without their padding: the rows of a packed tensor [N, D] are the batch's tokens, sentence by sentence. All
// that works row by row (projections, norms, dropout) then costs nothing for padding, and padding can change no result.
// Packings are made on the CPU and stand there, whatever the device of the rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/layers/kernels.h"

namespace strata::model {

// Where each sentence's rows are. Immutable once made; cheap to copy.
struct Packing {
  int64_t batch = 0;                // B
  int64_t length = 0;               // T, padding included
  int64_t rows = 0;                 // N
  std::vector<int64_t> begin;       // [B + 1] first row of each sentence
  std::vector<int64_t> keys_begin;  // [B] first row that attention may ask, and
  std::vector<int64_t> keys;        // [B] how many; all of the sentence's where padding is dropped
  at::Tensor tokens_N;              // int64; undefined where the rows are no tokens (speech)
  at::Tensor positions_N;           // int64, the first token's is 2, padding's is 1 (fairseq's numbers)
  at::Tensor flat_N;                // int64, row of [B * T] that each packed row came from
};

// tokens_BT: int64 ids, padded with kPad on either side. Throws std::invalid_argument for padding inside a sentence.
// keep_padding: padding positions get rows too, though none asks them (a profile that counts them needs this).
Packing Pack(const at::Tensor& tokens_BT, bool keep_padding = false);

// Rows that are no tokens: sentence b has lengths[b] of them, then padding up to `length`. keep_padding: as Pack's.
Packing PackLengths(const std::vector<int64_t>& lengths, int64_t length, bool keep_padding = false);

// [B, T, D] with zeros at padding.
at::Tensor Unpack(const at::Tensor& rows_ND, const Packing& packing);

// The spans for queries of one packing over keys of another (the same for self-attention), and the number of
// probabilities they need in all.
std::vector<AttentionSpan> Spans(const Packing& queries, const Packing& keys, int64_t heads, int64_t* probabilities);

}  // namespace strata::model
