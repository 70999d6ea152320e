// The hot loops of decoding: few rows against all of a model's weights, one position at a time. Compiled once for each
// instruction set, as kernels.h; float32 only. Matrices are row-major; no autograd, no tensors.
#pragma once

#include <cstdint>

namespace strata::model {

struct DecodeKernels {
  // A weight [columns, depth] (torch's Linear) as panels of this many columns, each [depth, panel_columns]: a product then
  // reads it once, in order. Columns behind the last are zeros.
  int64_t panel_columns;
  void (*pack)(const float* weight, int64_t columns, int64_t depth, float* panels);

  // y = x W^T + bias, or its ReLU; bias may be null.
  struct Product {
    const float* x;
    int64_t x_stride, rows;
    const float* panels;
    int64_t columns, depth;
    const float* bias;
    bool relu;
    float* y;
    int64_t y_stride;
  };
  void (*product)(const Product&, int64_t begin_panel, int64_t end_panel);

  // Each row asks keys and values of its own: context = softmax(q k^T / sqrt(head_dim)) v by head. Rows of keys_values hold
  // the key, then the value. index[r]: the counts[r] >= 1 rows that row r sees.
  struct Attention {
    int64_t heads, head_dim;
    const float* q;
    int64_t q_stride;
    const float* keys_values;
    int64_t stride;
    const int64_t* const* index;
    const int64_t* counts;
    float* context;
    int64_t context_stride;
  };
  void (*attention)(const Attention&, int64_t begin_row, int64_t end_row);
};

// The table for this processor, chosen as GetKernels chooses.
const DecodeKernels& GetDecodeKernels();

}  // namespace strata::model
