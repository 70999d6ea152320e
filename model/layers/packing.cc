#include "model/layers/packing.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <string>
#include <utility>

#include "model/layers/device_path.h"
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
      throw std::invalid_argument("sentence " + std::to_string(sentence) +
                                  " of the batch has padding inside, at position " + std::to_string(t) +
                                  "; padding belongs before or behind the tokens.");
    }
  }
}

// Collects rows sentence by sentence.
class Packer {
 public:
  Packer(int64_t batch, int64_t length) {
    packing_.batch = batch;
    packing_.length = length;
    positions_.reserve(batch * length);
    flat_.reserve(batch * length);
    packing_.begin.push_back(0);
  }

  // The next sentence: tokens at [first, last), rows for [from, to).
  void Add(int64_t first, int64_t last, int64_t from, int64_t to) {
    const auto b = static_cast<int64_t>(packing_.keys.size());
    packing_.keys_begin.push_back(packing_.begin.back() + first - from);
    packing_.keys.push_back(last - first);
    for (int64_t t = from; t < to; ++t) {
      positions_.push_back(t < first || t >= last ? kPad : t - first + kPad + 1);
      flat_.push_back(b * packing_.length + t);
    }
    packing_.begin.push_back(static_cast<int64_t>(flat_.size()));
  }

  Packing Finish() {
    packing_.rows = static_cast<int64_t>(flat_.size());
    packing_.positions_N = at::tensor(positions_, at::kLong);
    packing_.flat_N = at::tensor(flat_, at::kLong);
    return std::move(packing_);
  }

 private:
  Packing packing_;
  std::vector<int64_t> positions_, flat_;
};

}  // namespace

Packing Pack(const at::Tensor& tokens_BT, bool keep_padding) {
  if (tokens_BT.dim() != 2 || tokens_BT.scalar_type() != at::kLong) {
    throw std::invalid_argument("a batch of tokens is an int64 matrix [sentences, positions].");
  }
  if (!tokens_BT.is_cpu()) {
    throw std::invalid_argument("a batch stands on the CPU: the model copies what its device needs.");
  }
  const at::Tensor tokens = tokens_BT.contiguous();
  const int64_t batch = tokens.size(0), length = tokens.size(1);
  const int64_t* ids = tokens.const_data_ptr<int64_t>();
  std::vector<int64_t> kept;
  kept.reserve(tokens.numel());
  Packer packer(batch, length);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t* row = ids + b * length;
    int64_t first = 0, last = 0;
    FindTokens(row, length, b, &first, &last);
    const int64_t from = keep_padding ? 0 : first, to = keep_padding ? length : last;
    packer.Add(first, last, from, to);
    kept.insert(kept.end(), row + from, row + to);
  }
  Packing packing = packer.Finish();
  packing.tokens_N = at::tensor(kept, at::kLong);
  return packing;
}

Packing PackLengths(const std::vector<int64_t>& lengths, int64_t length, bool keep_padding) {
  Packer packer(static_cast<int64_t>(lengths.size()), length);
  for (const int64_t rows : lengths) packer.Add(0, rows, 0, keep_padding ? length : rows);
  return packer.Finish();
}

at::Tensor Unpack(const at::Tensor& rows_ND, const Packing& packing) {
  const int64_t width = rows_ND.size(1);
  return at::zeros({packing.batch * packing.length, width}, rows_ND.options())
      .index_copy(0, CopyTo(packing.flat_N, rows_ND.device()), rows_ND)
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
