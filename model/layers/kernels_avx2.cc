#define STRATA_KERNEL_NAMESPACE kernels_avx2
#define STRATA_VECTOR_BYTES 32
#include "model/layers/kernels_body.inc"
