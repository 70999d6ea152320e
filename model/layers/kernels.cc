#include "model/layers/kernels.h"

#include <ATen/Version.h>

#include <string>

#include "model/layers/bf16_kernels.h"
#include "model/layers/decode_kernels.h"

namespace strata::model {

#define STRATA_DECLARE_KERNELS(space)        \
  namespace space {                          \
  extern const Kernels<float> kFloatKernels;   \
  extern const Kernels<double> kDoubleKernels; \
  extern const DecodeKernels kDecodeKernels;   \
  extern const Bf16Kernels kBf16Kernels;       \
  }
STRATA_DECLARE_KERNELS(kernels_baseline)
#ifdef STRATA_X86_KERNELS
STRATA_DECLARE_KERNELS(kernels_avx2)
STRATA_DECLARE_KERNELS(kernels_avx512)
namespace kernels_avx512_bf16 {
extern const Bf16Kernels kBf16Kernels;
}
#endif
#undef STRATA_DECLARE_KERNELS

namespace {

struct Choice {
  const char* name;
  const Kernels<float>* floats;
  const Kernels<double>* doubles;
  const DecodeKernels* decoding;
  const Bf16Kernels* bf16;
  bool bf16_instructions;
};

#define STRATA_CHOICE(name, space) \
  { name, &space::kFloatKernels, &space::kDoubleKernels, &space::kDecodeKernels, &space::kBf16Kernels, false }

Choice Choose() {
#ifdef STRATA_X86_KERNELS
  const std::string aten = at::get_cpu_capability();
  if (aten == "AVX512") {
    Choice choice = STRATA_CHOICE("AVX512", kernels_avx512);
    if (__builtin_cpu_supports("avx512bf16")) {
      choice.bf16 = &kernels_avx512_bf16::kBf16Kernels;
      choice.bf16_instructions = true;
    }
    return choice;
  }
  if (aten == "AVX2") return STRATA_CHOICE("AVX2", kernels_avx2);
#endif
  return STRATA_CHOICE("DEFAULT", kernels_baseline);
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

const Bf16Kernels& GetBf16Kernels() { return *Chosen().bf16; }

bool HasBf16Instructions() { return Chosen().bf16_instructions; }

const char* KernelInstructionSet() { return Chosen().name; }

}  // namespace strata::model
