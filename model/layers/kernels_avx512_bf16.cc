#define STRATA_KERNEL_NAMESPACE kernels_avx512_bf16
#define STRATA_VECTOR_BYTES 64
#include <immintrin.h>

#include "model/layers/bf16_kernels.h"
#include "model/layers/keep_bits.h"
#include "model/layers/kernels.h"

namespace strata::model::STRATA_KERNEL_NAMESPACE {

#include "model/layers/kernels_vectors.inc"

#include "model/layers/kernels_bf16.inc"

}  // namespace strata::model::STRATA_KERNEL_NAMESPACE
