// Dropout's random numbers: which elements of a site are kept, as a function of (seed, element index) alone. The one place
// of that arithmetic: the processors' kernels, the devices' kernel (device_dropout.cu) and its double on the host call it.
#pragma once

#include <cstdint>

// Internal linkage: an inline function compiled for AVX-512 must not become the one that the linker keeps for everybody.
#ifdef __CUDACC__
#define STRATA_HOST_DEVICE static __host__ __device__ __forceinline__
#else
#define STRATA_HOST_DEVICE static inline __attribute__((always_inline))
#endif

namespace strata::model {

// 32 well-mixed bits of x, a number or a vector of numbers, and the seed's two halves.
template <typename U>
STRATA_HOST_DEVICE U MixBits(U x, uint32_t low, uint32_t high) {
  x = x * 0x9E3779B9u + low;
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x += high;
  x *= 0x846ca68bu;
  x ^= x >> 16;
  return x;
}

// The seed's lower half for element `index`. The processors' kernels take it once a row: they agree with the devices'
// wherever no row crosses a multiple of 2^32, so in every site of fewer elements.
STRATA_HOST_DEVICE uint32_t LowSeed(uint64_t seed, uint64_t index) {
  return static_cast<uint32_t>(seed) + static_cast<uint32_t>(index >> 32) * 0x85ebca6bu;
}
STRATA_HOST_DEVICE uint32_t HighSeed(uint64_t seed) { return static_cast<uint32_t>(seed >> 32); }

// An element is kept where its bits are at least this.
STRATA_HOST_DEVICE uint32_t KeepThreshold(double rate) { return static_cast<uint32_t>(rate * 4294967296.0); }

STRATA_HOST_DEVICE bool Keeps(uint64_t seed, uint64_t index, uint32_t threshold) {
  return MixBits(static_cast<uint32_t>(index), LowSeed(seed, index), HighSeed(seed)) >= threshold;
}

}  // namespace strata::model
