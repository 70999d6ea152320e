#include "model/layers/packing.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <string>

#include "model/tasks/task.h"

namespace strata::model {
namespace {

// [first, last) of a row's tokens that are no padding.
void FindTokens(const int64_t* row, int64_t length, int64_t sentence, int64_t* first, int64_t* last) {
  *first = 0;
  *last = length;
  while (*first < length && row[*first] == kPad) ++*first;
  while (*last > *first && row[*last - 1] == kPad) --*last;
  for (int64_t t = *first; t < *last; ++t) {
    if (row[t] == kPad) {
      throw std::invalid_argument("sentence " + std::to_string(sentence) + " of the batch has padding inside, at position " +
                                  std::to_string(t) + "; padding belongs before or behind the tokens.");
    }
  }
}

}  // namespace

Packing Pack(const at::Tensor& tokens_BT, bool keep_padding) {
  if (tokens_BT.dim() != 2 || tokens_BT.scalar_type() != at::kLong) {
    throw std::invalid_argument("a batch of tokens is an int64 matrix [sentences, positions].");
  }
  const at::Tensor tokens = tokens_BT.contiguous();
  Packing packing;
  packing.batch = tokens.size(0);
  packing.length = tokens.size(1);
  const int64_t* ids = tokens.const_data_ptr<int64_t>();
  std::vector<int64_t> kept, positions, flat;
  kept.reserve(tokens.numel());
  positions.reserve(tokens.numel());
  flat.reserve(tokens.numel());
  packing.begin.push_back(0);
  for (int64_t b = 0; b < packing.batch; ++b) {
    const int64_t* row = ids + b * packing.length;
    int64_t first = 0, last = 0;
    FindTokens(row, packing.length, b, &first, &last);
    const int64_t from = keep_padding ? 0 : first, to = keep_padding ? packing.length : last;
    packing.keys_begin.push_back(packing.begin.back() + first - from);
    packing.keys.push_back(last - first);
    for (int64_t t = from; t < to; ++t) {
      kept.push_back(row[t]);
      positions.push_back(row[t] == kPad ? kPad : t - first + kPad + 1);
      flat.push_back(b * packing.length + t);
    }
    packing.begin.push_back(static_cast<int64_t>(kept.size()));
  }
  packing.rows = static_cast<int64_t>(kept.size());
  packing.tokens_N = at::tensor(kept, at::kLong);
  packing.positions_N = at::tensor(positions, at::kLong);
  packing.flat_N = at::tensor(flat, at::kLong);
  return packing;
}

at::Tensor Unpack(const at::Tensor& rows_ND, const Packing& packing) {
  const int64_t width = rows_ND.size(1);
  return at::zeros({packing.batch * packing.length, width}, rows_ND.options())
      .index_copy(0, packing.flat_N, rows_ND)
      .view({packing.batch, packing.length, width});
}

std::vector<AttentionSpan> Spans(const Packing& queries, const Packing& keys, int64_t heads, int64_t* probabilities) {
  if (queries.batch != keys.batch) {
    throw std::invalid_argument("source has " + std::to_string(keys.batch) + " sentences but target has " +
                                std::to_string(queries.batch) + ".");
  }
  std::vector<AttentionSpan> spans(queries.batch);
  *probabilities = 0;
  for (int64_t b = 0; b < queries.batch; ++b) {
    spans[b] = {.query_begin = queries.begin[b],
                .queries = queries.begin[b + 1] - queries.begin[b],
                .key_begin = keys.keys_begin[b],
                .keys = keys.keys[b],
                .probabilities_begin = *probabilities};
    *probabilities += heads * spans[b].queries * PaddedKeys(spans[b].keys);
  }
  return spans;
}

}  // namespace strata::model
