#define STRATA_KERNEL_NAMESPACE kernels_baseline
#define STRATA_VECTOR_BYTES 16
#include "model/layers/kernels_body.inc"
