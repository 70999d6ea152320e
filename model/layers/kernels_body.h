// The bodies of kernels.h, included by one source for each instruction set, which defines STRATA_KERNEL_NAMESPACE and
// STRATA_VECTOR_BYTES. Nothing of the standard library is used here: an inline function compiled for AVX-512 must not become
// the one that the linker keeps for everybody.
#include "model/layers/kernels.h"

namespace strata::model::STRATA_KERNEL_NAMESPACE {

#define STRATA_INLINE static inline __attribute__((always_inline))

template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(STRATA_VECTOR_BYTES)));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(STRATA_VECTOR_BYTES)));
};
typedef uint32_t UInts __attribute__((vector_size(STRATA_VECTOR_BYTES)));
typedef int32_t Ints __attribute__((vector_size(STRATA_VECTOR_BYTES)));
typedef float Floats __attribute__((vector_size(STRATA_VECTOR_BYTES)));

template <typename T>
using V = typename VectorOf<T>::Type;
template <typename T>
constexpr int64_t kLanes = STRATA_VECTOR_BYTES / static_cast<int64_t>(sizeof(T));
constexpr int64_t kMaxLanes = 16;
static_assert(kKeyPadding % kLanes<float> == 0);

template <typename T>
STRATA_INLINE V<T> Load(const T* from) {
  V<T> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
template <typename T>
STRATA_INLINE void Store(T* to, V<T> v) {
  __builtin_memcpy(to, &v, sizeof v);
}
template <typename T>
STRATA_INLINE T Sum(V<T> v) {
  T total = 0;
  for (int64_t i = 0; i < kLanes<T>; ++i) total += v[i];
  return total;
}
template <typename T>
STRATA_INLINE T Max(V<T> v) {
  T top = v[0];
  for (int64_t i = 1; i < kLanes<T>; ++i) top = v[i] > top ? v[i] : top;
  return top;
}
template <typename T>
STRATA_INLINE V<T> SplatOf(T value) {
  V<T> v;
  for (int64_t i = 0; i < kLanes<T>; ++i) v[i] = value;
  return v;
}

// e^x to about 1 ulp for x <= 0 (and beyond); NaN stays NaN, far below underflow gives the least normal number.
STRATA_INLINE Floats Exp(Floats x) {
  x = x < -87.3f ? SplatOf<float>(-87.3f) : x;
  x = x > 88.7f ? SplatOf<float>(88.7f) : x;
  const Floats magic = SplatOf<float>(12582912.0f);  // 1.5 x 2^23: adding it rounds to an integer
  const Floats shifted = x * 1.44269504088896341f + magic;
  const Floats n = shifted - magic;
  const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Floats p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  Ints bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + (127 << 23);  // magic's own low bits are zero
  Floats power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return p * power;
}
STRATA_INLINE V<double> Exp(V<double> x) {
  for (int64_t i = 0; i < kLanes<double>; ++i) x[i] = __builtin_exp(x[i]);
  return x;
}
STRATA_INLINE float ExpOne(float x) { return __builtin_expf(x); }
STRATA_INLINE double ExpOne(double x) { return __builtin_exp(x); }

// A site's random numbers: 32 well-mixed bits of (seed, index).
template <typename U>
STRATA_INLINE U Mix(U x, uint32_t low, uint32_t high) {
  x = x * 0x9E3779B9u + low;
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x += high;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

// keep[j] = 1 / (1 - rate) with probability 1 - rate, else 0, for elements index .. index + n - 1 of the site.
template <typename T>
STRATA_INLINE void FillKeep(T* keep, int64_t n, uint64_t index, const DropoutSite& site) {
  const uint32_t threshold = static_cast<uint32_t>(site.rate * 4294967296.0);
  const T scale = static_cast<T>(1.0 / (1.0 - site.rate));
  const uint32_t low = static_cast<uint32_t>(site.seed) + static_cast<uint32_t>(index >> 32) * 0x85ebca6bu;
  const uint32_t high = static_cast<uint32_t>(site.seed >> 32);
  const uint32_t first = static_cast<uint32_t>(index);
  int64_t j = 0;
  if constexpr (sizeof(T) == sizeof(uint32_t)) {
    UInts lane;
    for (uint32_t i = 0; i < kLanes<float>; ++i) lane[i] = first + i;
    for (; j + kLanes<float> <= n; j += kLanes<float>) {
      const UInts bits = Mix(lane, low, high);
      Store<T>(keep + j, bits >= threshold ? SplatOf<float>(scale) : Floats{});
      lane += static_cast<uint32_t>(kLanes<float>);
    }
  }
  for (; j < n; ++j) keep[j] = Mix<uint32_t>(first + static_cast<uint32_t>(j), low, high) >= threshold ? scale : T(0);
}

// Scratch that lives as long as one call. Rows are short, so the stack would do for most; the heap does for all.
template <typename T>
class Scratch {
 public:
  explicit Scratch(int64_t size) : data_(static_cast<T*>(__builtin_malloc(static_cast<unsigned long>(size + kMaxLanes) * sizeof(T)))) {
    if (data_ == nullptr) __builtin_trap();
  }
  ~Scratch() { __builtin_free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* get() const { return data_; }

 private:
  T* data_;
};

template <typename T>
void AddNormRows(const typename Kernels<T>::AddNorm& a, int64_t begin_row, int64_t end_row) {
  const int64_t n = a.width, whole = n / kLanes<T> * kLanes<T>;
  const bool drops = a.branch != nullptr && a.dropout.rate > 0;
  Scratch<T> keep_scratch(drops ? n : 1), sum_scratch(n);
  T* keep = keep_scratch.get();
  for (int64_t row = begin_row; row < end_row; ++row) {
    const T* x = a.x + row * n;
    const T* branch = a.branch == nullptr ? nullptr : a.branch + row * n;
    const T* bypass = a.bypass == nullptr ? nullptr : a.bypass + row * n;
    T* sum = a.sum == nullptr ? sum_scratch.get() : a.sum + row * n;
    if (drops) FillKeep(keep, n, static_cast<uint64_t>(row * n), a.dropout);
    V<T> total = {};
    int64_t j = 0;
    for (; j < whole; j += kLanes<T>) {
      V<T> v = Load(x + j);
      if (branch != nullptr) v += drops ? Load(branch + j) * Load<T>(keep + j) : Load(branch + j);
      if (bypass != nullptr) v += Load(bypass + j);
      Store(sum + j, v);
      total += v;
    }
    T tail = 0;
    for (; j < n; ++j) {
      T v = x[j];
      if (branch != nullptr) v += drops ? branch[j] * keep[j] : branch[j];
      if (bypass != nullptr) v += bypass[j];
      sum[j] = v;
      tail += v;
    }
    if (a.gamma == nullptr) continue;
    const T mean = (Sum<T>(total) + tail) / static_cast<T>(n);
    V<T> squares = {};
    T square_tail = 0;
    for (j = 0; j < whole; j += kLanes<T>) {
      const V<T> d = Load<T>(sum + j) - mean;
      squares += d * d;
    }
    for (; j < n; ++j) square_tail += (sum[j] - mean) * (sum[j] - mean);
    const T variance = (Sum<T>(squares) + square_tail) / static_cast<T>(n);
    const T inverse = static_cast<T>(1.0 / __builtin_sqrt(static_cast<double>(variance) + a.epsilon));
    T* y = a.y + row * n;
    for (j = 0; j < whole; j += kLanes<T>) {
      Store(y + j, (Load<T>(sum + j) - mean) * inverse * Load(a.gamma + j) + Load(a.beta + j));
    }
    for (; j < n; ++j) y[j] = (sum[j] - mean) * inverse * a.gamma[j] + a.beta[j];
    if (a.statistics != nullptr) {
      a.statistics[2 * row] = mean;
      a.statistics[2 * row + 1] = inverse;
    }
  }
}

template <typename T>
void AddNormBackwardRows(const typename Kernels<T>::AddNormBackward& a, int64_t begin_row, int64_t end_row) {
  const int64_t n = a.width, whole = n / kLanes<T> * kLanes<T>;
  const bool drops = a.d_branch != nullptr && a.dropout.rate > 0;
  Scratch<T> keep_scratch(drops ? n : 1);
  T* keep = keep_scratch.get();
  for (int64_t row = begin_row; row < end_row; ++row) {
    const T *d_y = a.d_y + row * n, *sum = a.sum + row * n;
    T* d_sum = a.d_sum + row * n;
    const T mean = a.statistics[2 * row], inverse = a.statistics[2 * row + 1];
    V<T> s1 = {}, s2 = {};
    T t1 = 0, t2 = 0;
    int64_t j = 0;
    for (; j < whole; j += kLanes<T>) {
      const V<T> d = Load(d_y + j), normed = (Load(sum + j) - mean) * inverse, g = d * Load(a.gamma + j);
      Store(a.gamma_grad + j, Load<T>(a.gamma_grad + j) + d * normed);
      Store(a.beta_grad + j, Load<T>(a.beta_grad + j) + d);
      s1 += g;
      s2 += g * normed;
    }
    for (; j < n; ++j) {
      const T normed = (sum[j] - mean) * inverse, g = d_y[j] * a.gamma[j];
      a.gamma_grad[j] += d_y[j] * normed;
      a.beta_grad[j] += d_y[j];
      t1 += g;
      t2 += g * normed;
    }
    const T m1 = (Sum<T>(s1) + t1) / static_cast<T>(n), m2 = (Sum<T>(s2) + t2) / static_cast<T>(n);
    if (drops) FillKeep(keep, n, static_cast<uint64_t>(row * n), a.dropout);
    T* d_branch = drops ? a.d_branch + row * n : nullptr;
    for (j = 0; j < whole; j += kLanes<T>) {
      const V<T> normed = (Load(sum + j) - mean) * inverse;
      const V<T> d = (Load(d_y + j) * Load(a.gamma + j) - m1 - normed * m2) * inverse;
      Store(d_sum + j, d);
      if (drops) Store(d_branch + j, d * Load<T>(keep + j));
    }
    for (; j < n; ++j) {
      const T normed = (sum[j] - mean) * inverse;
      d_sum[j] = (d_y[j] * a.gamma[j] - m1 - normed * m2) * inverse;
      if (drops) d_branch[j] = d_sum[j] * keep[j];
    }
  }
}

template <typename T>
void DropoutRows(const T* in, T* out, int64_t width, DropoutSite site, int64_t begin_row, int64_t end_row) {
  Scratch<T> keep_scratch(width);
  T* keep = keep_scratch.get();
  for (int64_t row = begin_row; row < end_row; ++row) {
    FillKeep(keep, width, static_cast<uint64_t>(row * width), site);
    const T* from = in + row * width;
    T* to = out + row * width;
    int64_t j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) Store(to + j, Load(from + j) * Load<T>(keep + j));
    for (; j < width; ++j) to[j] = from[j] * keep[j];
  }
}

template <typename T>
void BiasReluRows(T* h, const T* bias, int64_t width, DropoutSite site, int64_t begin_row, int64_t end_row) {
  Scratch<T> keep_scratch(site.rate > 0 ? width : 1);
  T* keep = keep_scratch.get();
  for (int64_t row = begin_row; row < end_row; ++row) {
    T* to = h + row * width;
    if (site.rate > 0) FillKeep(keep, width, static_cast<uint64_t>(row * width), site);
    int64_t j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) {
      V<T> v = Load<T>(to + j) + Load(bias + j);
      v = v < 0 ? V<T>{} : v;  // NaN stays
      Store(to + j, site.rate > 0 ? v * Load<T>(keep + j) : v);
    }
    for (; j < width; ++j) {
      T v = to[j] + bias[j];
      v = v < 0 ? T(0) : v;
      to[j] = site.rate > 0 ? v * keep[j] : v;
    }
  }
}

template <typename T>
void ReluBackwardRows(T* d_h, const T* h, T* bias_grad, int64_t width, double scale, int64_t begin_row, int64_t end_row) {
  const T factor = static_cast<T>(scale);
  for (int64_t row = begin_row; row < end_row; ++row) {
    T* d = d_h + row * width;
    const T* at = h + row * width;
    int64_t j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) {
      const V<T> v = Load(at + j) <= 0 ? V<T>{} : Load<T>(d + j) * factor;
      Store(d + j, v);
      Store(bias_grad + j, Load<T>(bias_grad + j) + v);
    }
    for (; j < width; ++j) {
      d[j] = at[j] <= 0 ? T(0) : d[j] * factor;
      bias_grad[j] += d[j];
    }
  }
}

template <typename T>
void ColumnSumRows(const T* in, T* out, int64_t width, int64_t begin_row, int64_t end_row) {
  for (int64_t row = begin_row; row < end_row; ++row) {
    const T* from = in + row * width;
    int64_t j = 0;
    for (; j + kLanes<T> <= width; j += kLanes<T>) Store(out + j, Load<T>(out + j) + Load(from + j));
    for (; j < width; ++j) out[j] += from[j];
  }
}

// c [4 rows, columns] = a [rows, depth] b [depth, columns]; element (i, k) of a at a[i * a_row + k * a_depth]; b and c have
// rows of whole vectors.
template <typename T, int kRows, int kVectors>
STRATA_INLINE void Tile(const T* a, int64_t a_row, int64_t a_depth, const T* b, int64_t b_stride, T* c, int64_t c_stride,
                        int64_t depth) {
  V<T> sums[kRows][kVectors] = {};
  for (int64_t k = 0; k < depth; ++k) {
    V<T> right[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) right[v] = Load(b + k * b_stride + v * kLanes<T>);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const T left = a[i * a_row + k * a_depth];
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) sums[i][v] += right[v] * left;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) Store(c + i * c_stride + v * kLanes<T>, sums[i][v]);
  }
}

template <typename T, int kRows>
STRATA_INLINE void RowBlock(const T* a, int64_t a_row, int64_t a_depth, const T* b, int64_t b_stride, T* c, int64_t c_stride,
                            int64_t depth, int64_t columns) {
  int64_t j = 0;
  for (; j + 2 * kLanes<T> <= columns; j += 2 * kLanes<T>) {
    Tile<T, kRows, 2>(a, a_row, a_depth, b + j, b_stride, c + j, c_stride, depth);
  }
  for (; j < columns; j += kLanes<T>) Tile<T, kRows, 1>(a, a_row, a_depth, b + j, b_stride, c + j, c_stride, depth);
}

// The same for any number of rows.
template <typename T>
STRATA_INLINE void SmallGemm(int64_t rows, int64_t columns, int64_t depth, const T* a, int64_t a_row, int64_t a_depth,
                             const T* b, int64_t b_stride, T* c, int64_t c_stride) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4) {
    RowBlock<T, 4>(a + i * a_row, a_row, a_depth, b, b_stride, c + i * c_stride, c_stride, depth, columns);
  }
  for (; i < rows; ++i) RowBlock<T, 1>(a + i * a_row, a_row, a_depth, b, b_stride, c + i * c_stride, c_stride, depth, columns);
}

// to [rows, padded] = from [rows, width] with zeros behind.
template <typename T>
STRATA_INLINE void PackRows(const T* from, int64_t stride, int64_t rows, int64_t width, T* to, int64_t padded) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j) to[i * padded + j] = from[i * stride + j];
    for (int64_t j = width; j < padded; ++j) to[i * padded + j] = 0;
  }
}
// to [width, padded] = from [rows, width] transposed, zeros behind.
template <typename T>
STRATA_INLINE void PackColumns(const T* from, int64_t stride, int64_t rows, int64_t width, T* to, int64_t padded) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j) to[j * padded + i] = from[i * stride + j];
  }
  for (int64_t j = 0; j < width; ++j) {
    for (int64_t i = rows; i < padded; ++i) to[j * padded + i] = 0;
  }
}
template <typename T>
STRATA_INLINE void UnpackRows(const T* from, int64_t padded, int64_t rows, int64_t width, T* to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < width; ++j) to[i * stride + j] = from[i * padded + j];
  }
}

// Softmax of row[0, limit) scaled; zeros in [limit, padded).
template <typename T>
STRATA_INLINE void SoftmaxRow(T* row, int64_t limit, int64_t padded, T scale) {
  V<T> tops = Load<T>(row);
  T top = row[0];
  int64_t j = 0;
  for (; j + kLanes<T> <= limit; j += kLanes<T>) {
    const V<T> v = Load<T>(row + j);
    tops = j == 0 ? v : (v > tops ? v : tops);
  }
  if (j > 0) top = Max<T>(tops);
  for (; j < limit; ++j) top = row[j] > top ? row[j] : top;
  const T shift = top * scale;
  V<T> totals = {};
  for (j = 0; j < limit; j += kLanes<T>) {
    V<T> e = Exp(Load<T>(row + j) * scale - shift);
    if (j + kLanes<T> > limit) {
      for (int64_t i = limit - j; i < kLanes<T>; ++i) e[i] = 0;
    }
    totals += e;
    Store(row + j, e);
  }
  const T inverse = T(1) / Sum<T>(totals);
  for (j = 0; j < limit; j += kLanes<T>) Store(row + j, Load<T>(row + j) * inverse);
  for (; j < padded; j += kLanes<T>) Store(row + j, V<T>{});
}

STRATA_INLINE int64_t RoundUp(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
STRATA_INLINE int64_t Least(int64_t a, int64_t b) { return a < b ? a : b; }

// Greatest numbers of queries and keys among the spans.
STRATA_INLINE void Extents(const AttentionShape& shape, int64_t begin, int64_t end, int64_t* queries, int64_t* keys) {
  *queries = 1;
  *keys = 1;
  for (int64_t s = begin; s < end; ++s) {
    if (shape.spans[s].queries > *queries) *queries = shape.spans[s].queries;
    if (shape.spans[s].keys > *keys) *keys = shape.spans[s].keys;
  }
}

// A head's place in the numbering of attention's dropout: the offset of its block of probabilities.
template <typename T>
void AttentionSpans(const typename Kernels<T>::Attention& a, int64_t begin_span, int64_t end_span) {
  const int64_t width = a.shape.head_dim, padded_width = RoundUp(width, kMaxLanes);
  int64_t most_queries, most_keys;
  Extents(a.shape, begin_span, end_span, &most_queries, &most_keys);
  const int64_t most_padded = PaddedKeys(most_keys);
  Scratch<T> keys_scratch(width * most_padded), values_scratch(most_keys * padded_width), out_scratch(4 * padded_width);
  Scratch<T> row_scratch(a.probabilities == nullptr ? 4 * most_padded : 1);
  const bool drops = a.dropout.rate > 0;
  Scratch<T> dropped_scratch(drops ? 4 * most_padded : 1), keep_scratch(drops ? most_padded : 1);
  const T scale = static_cast<T>(1.0 / __builtin_sqrt(static_cast<double>(width)));
  for (int64_t s = begin_span; s < end_span; ++s) {
    const AttentionSpan& span = a.shape.spans[s];
    const int64_t padded = PaddedKeys(span.keys);
    for (int64_t i = 0; span.keys == 0 && i < span.queries; ++i) {  // who has nobody to ask gets zeros
      T* context = a.context + (span.query_begin + i) * a.context_stride;
      for (int64_t j = 0; j < a.shape.heads * width; ++j) context[j] = 0;
    }
    for (int64_t head = 0; span.keys > 0 && head < a.shape.heads; ++head) {
      const T* q = a.q + span.query_begin * a.q_stride + head * width;
      PackColumns(a.k + span.key_begin * a.kv_stride + head * width, a.kv_stride, span.keys, width, keys_scratch.get(), padded);
      PackRows(a.v + span.key_begin * a.kv_stride + head * width, a.kv_stride, span.keys, width, values_scratch.get(),
               padded_width);
      const int64_t block = span.probabilities_begin + head * span.queries * padded;
      for (int64_t i = 0; i < span.queries; i += 4) {
        const int64_t rows = Least(4, span.queries - i);
        const int64_t seen = a.shape.causal ? Least(span.keys, i + rows) : span.keys;
        T* p = a.probabilities == nullptr ? row_scratch.get() : a.probabilities + block + i * padded;
        SmallGemm(rows, RoundUp(seen, kLanes<T>), width, q + i * a.q_stride, a.q_stride, int64_t{1}, keys_scratch.get(), padded, p,
                  padded);
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t limit = a.shape.causal ? Least(span.keys, i + r + 1) : span.keys;
          SoftmaxRow(p + r * padded, limit, padded, scale);
        }
        const T* weights = p;
        if (drops) {
          for (int64_t r = 0; r < rows; ++r) {
            FillKeep(keep_scratch.get(), padded, static_cast<uint64_t>(block + (i + r) * padded), a.dropout);
            for (int64_t j = 0; j < padded; ++j) {
              dropped_scratch.get()[r * padded + j] = p[r * padded + j] * keep_scratch.get()[j];
            }
          }
          weights = dropped_scratch.get();
        }
        SmallGemm(rows, RoundUp(width, kLanes<T>), seen, weights, padded, int64_t{1}, values_scratch.get(), padded_width,
                  out_scratch.get(), padded_width);
        UnpackRows(out_scratch.get(), padded_width, rows, width,
                   a.context + (span.query_begin + i) * a.context_stride + head * width, a.context_stride);
      }
    }
  }
}

template <typename T>
void AttentionBackwardSpans(const typename Kernels<T>::AttentionBackward& b, int64_t begin_span, int64_t end_span) {
  const typename Kernels<T>::Attention& a = b.forward;
  const int64_t width = a.shape.head_dim, padded_width = RoundUp(width, kMaxLanes), columns = RoundUp(width, kLanes<T>);
  int64_t most_queries, most_keys;
  Extents(a.shape, begin_span, end_span, &most_queries, &most_keys);
  const int64_t most_padded = PaddedKeys(most_keys);
  const bool drops = a.dropout.rate > 0;
  Scratch<T> values(width * most_padded), keys(most_keys * padded_width), queries(most_queries * padded_width);
  Scratch<T> d_out(most_queries * padded_width), d_scores(most_queries * most_padded);
  Scratch<T> result((most_queries > most_keys ? most_queries : most_keys) * padded_width);
  Scratch<T> dropped(drops ? most_queries * most_padded : 1), keep_scratch(most_padded);
  const T scale = static_cast<T>(1.0 / __builtin_sqrt(static_cast<double>(width)));
  for (int64_t s = begin_span; s < end_span; ++s) {
    const AttentionSpan& span = a.shape.spans[s];
    const int64_t padded = PaddedKeys(span.keys);
    for (int64_t head = 0; head < a.shape.heads; ++head) {
      const int64_t query_at = span.query_begin * a.q_stride + head * width;
      const int64_t key_at = span.key_begin * a.kv_stride + head * width;
      PackColumns(a.v + key_at, a.kv_stride, span.keys, width, values.get(), padded);
      PackRows(a.k + key_at, a.kv_stride, span.keys, width, keys.get(), padded_width);
      PackRows(a.q + query_at, a.q_stride, span.queries, width, queries.get(), padded_width);
      PackRows(b.d_context + span.query_begin * a.context_stride + head * width, a.context_stride, span.queries, width,
               d_out.get(), padded_width);
      const int64_t block = span.probabilities_begin + head * span.queries * padded;
      const T* p = a.probabilities + block;
      SmallGemm(span.queries, padded, width, d_out.get(), padded_width, int64_t{1}, values.get(), padded, d_scores.get(), padded);
      for (int64_t i = 0; i < span.queries; ++i) {
        T* d = d_scores.get() + i * padded;
        const T* row = p + i * padded;
        if (drops) {
          T* keep = keep_scratch.get();
          FillKeep(keep, padded, static_cast<uint64_t>(block + i * padded), a.dropout);
          for (int64_t j = 0; j < padded; ++j) {
            dropped.get()[i * padded + j] = row[j] * keep[j];
            d[j] *= keep[j];
          }
        }
        V<T> dots = {};
        for (int64_t j = 0; j < padded; j += kLanes<T>) dots += Load<T>(d + j) * Load(row + j);
        const T dot = Sum<T>(dots);
        for (int64_t j = 0; j < padded; j += kLanes<T>) Store(d + j, (Load<T>(d + j) - dot) * Load(row + j) * scale);
      }
      const T* weights = drops ? dropped.get() : p;
      SmallGemm(span.keys, columns, span.queries, weights, int64_t{1}, padded, d_out.get(), padded_width, result.get(), padded_width);
      UnpackRows(result.get(), padded_width, span.keys, width, b.d_v + key_at, a.kv_stride);
      SmallGemm(span.queries, columns, span.keys, d_scores.get(), padded, int64_t{1}, keys.get(), padded_width, result.get(),
                padded_width);
      UnpackRows(result.get(), padded_width, span.queries, width, b.d_q + query_at, a.q_stride);
      SmallGemm(span.keys, columns, span.queries, d_scores.get(), int64_t{1}, padded, queries.get(), padded_width, result.get(),
                padded_width);
      UnpackRows(result.get(), padded_width, span.keys, width, b.d_k + key_at, a.kv_stride);
    }
  }
}

// The row's maximum, and the sum of its elements where `sum` is given.
template <typename T>
STRATA_INLINE T RowMaximum(const T* row, int64_t n, double* sum) {
  V<T> tops = SplatOf<T>(row[0]), totals = {};
  int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    const V<T> v = Load(row + j);
    tops = v > tops ? v : tops;
    totals += v;
  }
  T top = Max<T>(tops);
  double total = static_cast<double>(Sum<T>(totals));
  for (; j < n; ++j) {
    top = row[j] > top ? row[j] : top;
    total += static_cast<double>(row[j]);
  }
  if (sum != nullptr) *sum = total;
  return top;
}

// Sum of e^(row - top); with `store` the exponentials replace the row.
template <typename T>
STRATA_INLINE double RowExponentials(T* row, int64_t n, T top, bool store) {
  V<T> totals = {};
  int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    const V<T> e = Exp(Load<T>(row + j) - top);
    if (store) Store(row + j, e);
    totals += e;
  }
  double total = static_cast<double>(Sum<T>(totals));
  for (; j < n; ++j) {
    const T e = ExpOne(row[j] - top);
    if (store) row[j] = e;
    total += static_cast<double>(e);
  }
  return total;
}

template <typename T>
void CrossEntropyRows(const typename Kernels<T>::CrossEntropy& a, int64_t begin_row, int64_t end_row) {
  const int64_t n = a.classes;
  const double uniform = a.smoothing / static_cast<double>(n);
  for (int64_t row = begin_row; row < end_row; ++row) {
    T* logits = a.logits + row * n;
    double sum = 0;
    const T top = RowMaximum(logits, n, &sum);
    const double right = static_cast<double>(logits[a.targets[row]]);
    const double total = RowExponentials(logits, n, top, a.gradient);
    const double log_total = static_cast<double>(top) + __builtin_log(total);
    a.nlls[row] = log_total - right;
    a.losses[row] = (1 - a.smoothing) * a.nlls[row] + uniform * (static_cast<double>(n) * log_total - sum);
    if (!a.gradient) continue;
    const T inverse = static_cast<T>(1 / total), less = static_cast<T>(uniform);
    int64_t j = 0;
    for (; j + kLanes<T> <= n; j += kLanes<T>) Store(logits + j, Load<T>(logits + j) * inverse - less);
    for (; j < n; ++j) logits[j] = logits[j] * inverse - less;
    logits[a.targets[row]] -= static_cast<T>(1 - a.smoothing);
  }
}

template <typename T>
void LogSoftmaxRows(T* logits, int64_t classes, int64_t begin_row, int64_t end_row) {
  for (int64_t row = begin_row; row < end_row; ++row) {
    T* at = logits + row * classes;
    const T top = RowMaximum<T>(at, classes, nullptr);
    const T shift = top + static_cast<T>(__builtin_log(RowExponentials(at, classes, top, false)));
    int64_t j = 0;
    for (; j + kLanes<T> <= classes; j += kLanes<T>) Store(at + j, Load<T>(at + j) - shift);
    for (; j < classes; ++j) at[j] -= shift;
  }
}

template <typename T>
constexpr Kernels<T> MakeKernels() {
  return {.add_norm = AddNormRows<T>,
          .add_norm_backward = AddNormBackwardRows<T>,
          .dropout = DropoutRows<T>,
          .bias_relu = BiasReluRows<T>,
          .relu_backward = ReluBackwardRows<T>,
          .column_sums = ColumnSumRows<T>,
          .attention = AttentionSpans<T>,
          .attention_backward = AttentionBackwardSpans<T>,
          .cross_entropy = CrossEntropyRows<T>,
          .log_softmax = LogSoftmaxRows<T>};
}

extern const Kernels<float> kFloatKernels;
extern const Kernels<double> kDoubleKernels;
const Kernels<float> kFloatKernels = MakeKernels<float>();
const Kernels<double> kDoubleKernels = MakeKernels<double>();

}  // namespace strata::model::STRATA_KERNEL_NAMESPACE
