#include "model/layers/kernels.h"

#include <ATen/Version.h>

#include <string>

#include "model/layers/decode_kernels.h"

namespace strata::model {

#define STRATA_DECLARE_KERNELS(space)        \
  namespace space {                          \
  extern const Kernels<float> kFloatKernels;   \
  extern const Kernels<double> kDoubleKernels; \
  extern const DecodeKernels kDecodeKernels;   \
  }
STRATA_DECLARE_KERNELS(kernels_baseline)
#ifdef STRATA_X86_KERNELS
STRATA_DECLARE_KERNELS(kernels_avx2)
STRATA_DECLARE_KERNELS(kernels_avx512)
#endif
#undef STRATA_DECLARE_KERNELS

namespace {

struct Choice {
  const char* name;
  const Kernels<float>* floats;
  const Kernels<double>* doubles;
  const DecodeKernels* decoding;
};

Choice Choose() {
#ifdef STRATA_X86_KERNELS
  const std::string aten = at::get_cpu_capability();
  if (aten == "AVX512") return {"AVX512", &kernels_avx512::kFloatKernels, &kernels_avx512::kDoubleKernels, &kernels_avx512::kDecodeKernels};
  if (aten == "AVX2") return {"AVX2", &kernels_avx2::kFloatKernels, &kernels_avx2::kDoubleKernels, &kernels_avx2::kDecodeKernels};
#endif
  return {"DEFAULT", &kernels_baseline::kFloatKernels, &kernels_baseline::kDoubleKernels, &kernels_baseline::kDecodeKernels};
}

const Choice& Chosen() {
  static const Choice choice = Choose();
  return choice;
}

}  // namespace

template <>
const Kernels<float>& GetKernels<float>() {
  return *Chosen().floats;
}
template <>
const Kernels<double>& GetKernels<double>() {
  return *Chosen().doubles;
}

const DecodeKernels& GetDecodeKernels() { return *Chosen().decoding; }

const char* KernelInstructionSet() { return Chosen().name; }

}  // namespace strata::model
