#define STRATA_KERNEL_NAMESPACE kernels_avx512
#define STRATA_VECTOR_BYTES 64
#include "model/layers/kernels_body.inc"
