// Matrix products in bf16: both factors are rounded to bf16 (nearest, ties to even; NaN stays NaN), products and sums
// are float32, and so is the result. Compiled once for each instruction set, as kernels.h, and once more with
// AVX512_BF16. Without those instructions the same comes out up to the order of the sums, no faster than in float32.
//
// Factors are laid out in pairs along the depth: one uint32 holds depths 2k (low half) and 2k + 1 (high half), zero
// behind an odd depth. No autograd, no tensors.
#pragma once

#include <cstdint>

namespace strata::model {

inline int64_t DepthPairs(int64_t depth) { return (depth + 1) / 2; }

struct Bf16Kernels {
  // Rows [rows, depth], `stride` apart, as rows of pairs [rows, DepthPairs(depth)].
  void (*round_rows)(const float* x, int64_t stride, int64_t rows, int64_t depth, uint32_t* pairs);

  // Numbers at data[column * column_stride + k * depth_stride]; one of the strides is 1.
  struct Matrix {
    const float* data;
    int64_t column_stride, depth_stride, columns, depth;
  };
  // Panels begin .. end of `panel_columns` columns, each [DepthPairs(depth), panel_columns], one behind the other from
  // `panels` on. Columns behind the last are zeros.
  int64_t panel_columns;
  void (*pack)(const Matrix&, int64_t begin_panel, int64_t end_panel, uint32_t* panels);

  // y [rows, columns] = left x right (+ y) (+ bias), or its ReLU. Left: rows of pairs `left_stride` apart, or where
  // that is 0 one panel, whose columns are the rows. Right: `panels`, the first of which is begin_panel. bias may be
  // null.
  struct Product {
    const uint32_t* left;
    int64_t left_stride, rows;
    const uint32_t* panels;
    int64_t columns, depth;
    const float* bias;
    bool relu, accumulate;
    float* y;
    int64_t y_stride;
  };
  void (*product)(const Product&, int64_t begin_panel, int64_t end_panel);
};

// The table for this processor, chosen as GetKernels chooses, and by whether it has AVX512_BF16.
const Bf16Kernels& GetBf16Kernels();

// Whether that table computes with bf16 instructions. They are AVX512_BF16 (processors with AMX have them too).
bool HasBf16Instructions();

}  // namespace strata::model
