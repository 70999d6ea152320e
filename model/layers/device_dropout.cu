#include <cuda_runtime.h>

#include "model/layers/device_dropout_kernel.h"

namespace strata::model {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

template <typename T>
__global__ void DropElements(DropoutCall<T> call) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < call.count; i += step) {
    DropElement(call, i);
  }
}

template <typename T>
int Launch(const DropoutCall<T>& call, void* stream) {
  const int64_t blocks = (call.count + kThreads - 1) / kThreads;
  const auto used = static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
  DropElements<T><<<used, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(call);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace

int LaunchDropout(const DropoutCall<float>& call, void* stream) { return Launch(call, stream); }
int LaunchDropout(const DropoutCall<double>& call, void* stream) { return Launch(call, stream); }

}  // namespace strata::model
