// The hot loops of training on processors, compiled once for each instruction set and chosen at start as ATen chooses
// its own (ATEN_CPU_CAPABILITY counts). No autograd and no tensors here: plain rows of numbers.
//
// All matrices are row-major. Random masks are a function of (seed, element index), so that a backward pass draws the mask
// of its forward pass again and nothing is stored.
#pragma once

#include <cstdint>

namespace strata::model {

// Dropout of one site: each element is kept with probability 1 - rate and divided by it. rate 0: all are kept.
struct DropoutSite {
  double rate = 0;
  uint64_t seed = 0;
};

// One sentence of an attention: which rows ask and which rows are asked.
struct AttentionSpan {
  int64_t query_begin = 0, queries = 0;
  int64_t key_begin = 0, keys = 0;
  int64_t probabilities_begin = 0;  // offset of its [heads, queries, PaddedKeys(keys)] block
};

struct AttentionShape {
  const AttentionSpan* spans = nullptr;
  int64_t count = 0;
  int64_t heads = 0, head_dim = 0;
  bool causal = false;  // query i sees keys 0..i of its sentence
};

// Rows of probabilities are padded with zeros to a multiple of this.
inline constexpr int64_t kKeyPadding = 16;
inline int64_t PaddedKeys(int64_t keys) { return (keys + kKeyPadding - 1) / kKeyPadding * kKeyPadding; }

template <typename T>
struct Kernels {
  // How the terms of a residual sum count.
  struct Scales {
    bool plain = true;  // all are 1
    T x = 1, branch = 1, bypass = 1;
    const T* x_weights = nullptr;  // [width], multiply x further
  };
  // sum = x + dropout(branch) (+ bypass), each times its scale; y = norm(sum) * gamma + beta (+ after). All but x may be null.
  // statistics: mean and 1/sqrt(variance + epsilon) of each row. With gamma null only sum is written.
  struct AddNorm {
    int64_t rows, width;
    const T *x, *branch, *bypass, *gamma, *beta, *after;
    T *sum, *y, *statistics;
    double epsilon;
    DropoutSite dropout;
    Scales scales;
  };
  void (*add_norm)(const AddNorm&, int64_t begin_row, int64_t end_row);

  // Its backward; with gamma null d_y is the gradient of sum. d_branch (with dropout's mask) and d_bypass may be null: they
  // are then the same as d_x. gamma_grad, beta_grad and x_weights_grad (null without weights) [width] are added to.
  struct AddNormBackward {
    int64_t rows, width;
    const T *d_y, *sum, *statistics, *gamma, *x;
    T *d_x, *d_branch, *d_bypass, *gamma_grad, *beta_grad, *x_weights_grad;
    DropoutSite dropout;
    Scales scales;
  };
  void (*add_norm_backward)(const AddNormBackward&, int64_t begin_row, int64_t end_row);

  // out = sum of weights[i] * inputs[i], elementwise.
  struct Combine {
    int64_t count;
    const T* const* inputs;
    const T* weights;
    T* out;
  };
  void (*combine)(const Combine&, int64_t begin, int64_t end);

  // d_inputs[i] = weights[i] * d_out; weights_grad[i] += the inner product of d_out and inputs[i].
  struct CombineBackward {
    int64_t count;
    const T* const* inputs;
    const T* weights;
    const T* d_out;
    T* const* d_inputs;
    double* weights_grad;
  };
  void (*combine_backward)(const CombineBackward&, int64_t begin, int64_t end);

  // out = dropout(in) elementwise over rows x width; in place allowed.
  void (*dropout)(const T* in, T* out, int64_t width, DropoutSite site, int64_t begin_row, int64_t end_row);

  // h = dropout(relu(h + bias)) in place.
  void (*bias_relu)(T* h, const T* bias, int64_t width, DropoutSite site, int64_t begin_row, int64_t end_row);
  // d_h = h > 0 ? d_h * scale : 0 in place, and bias_grad [width] += column sums of it.
  void (*relu_backward)(T* d_h, const T* h, T* bias_grad, int64_t width, double scale, int64_t begin_row, int64_t end_row);
  // out [width] += column sums.
  void (*column_sums)(const T* in, T* out, int64_t width, int64_t begin_row, int64_t end_row);

  // context = dropout(softmax(scale q k^T)) v by sentence and head. Row strides in elements. probabilities may be null.
  struct Attention {
    AttentionShape shape;
    const T *q, *k, *v;
    int64_t q_stride, kv_stride;
    T* context;
    int64_t context_stride;
    T* probabilities;
    DropoutSite dropout;
  };
  void (*attention)(const Attention&, int64_t begin_span, int64_t end_span);

  // Writes d_q, d_k, d_v (same strides as q and k, v).
  struct AttentionBackward {
    Attention forward;
    const T* d_context;
    T *d_q, *d_k, *d_v;
  };
  void (*attention_backward)(const AttentionBackward&, int64_t begin_span, int64_t end_span);

  // Cross entropy of each row of logits [rows, classes]: nlls get -log p(target), losses get
  // right x nll + uniform x (sum of all classes' -log p), where right + classes x uniform is 1 (label smoothing).
  // With `gradient`, logits are overwritten with d loss / d logits.
  struct CrossEntropy {
    int64_t classes;
    T* logits;
    const int64_t* targets;
    double right, uniform;
    bool gradient;
    double *losses, *nlls;
  };
  void (*cross_entropy)(const CrossEntropy&, int64_t begin_row, int64_t end_row);

  // logits -> log-probabilities in place.
  void (*log_softmax)(T* logits, int64_t classes, int64_t begin_row, int64_t end_row);
};

// The table for this processor; T is float or double.
template <typename T>
const Kernels<T>& GetKernels();

// "AVX512", "AVX2" or "DEFAULT": what GetKernels chose.
const char* KernelInstructionSet();

}  // namespace strata::model
