// What device_dropout.cc and device_dropout.cu share: no LibTorch, so that nvcc compiles it in a second.
#pragma once

#include <cstdint>

#include "model/layers/keep_bits.h"

namespace strata::model {

// Pointers are the device's (the host's for a loop there). row_begins may be null.
template <typename T>
struct DropoutCall {
  const T* in;
  T* out;
  const int64_t* row_begins;
  int64_t count, width;
  uint64_t seed;
  uint32_t threshold;
  T scale;
};

template <typename T>
STRATA_HOST_DEVICE void DropElement(const DropoutCall<T>& call, int64_t i) {
  const int64_t row = call.row_begins == nullptr ? 0 : i / call.width;
  const int64_t number = call.row_begins == nullptr ? i : call.row_begins[row] + (i - row * call.width);
  const bool kept = Keeps(call.seed, static_cast<uint64_t>(number), call.threshold);
  call.out[i] = call.in[i] * (kept ? call.scale : T(0));
}

// Begins it on a cudaStream_t; a cudaError_t.
int LaunchDropout(const DropoutCall<float>& call, void* stream);
int LaunchDropout(const DropoutCall<double>& call, void* stream);

}  // namespace strata::model
