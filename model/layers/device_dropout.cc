#include "model/layers/device_dropout.h"

#include <ATen/ATen.h>
#include <ATen/Dispatch.h>

#include "model/layers/device_dropout_kernel.h"
#ifdef STRATA_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace strata::model {

at::Tensor DropoutOnDevice(const at::Tensor& in, const DropoutSite& site, const at::Tensor& row_begins) {
  const at::Tensor from = in.contiguous(), out = at::empty_like(from);
  if (from.numel() == 0) return out;
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "dropout", [&] {
    const DropoutCall<scalar_t> call{.in = from.const_data_ptr<scalar_t>(),
                                     .out = out.mutable_data_ptr<scalar_t>(),
                                     .row_begins = row_begins.defined() ? row_begins.const_data_ptr<int64_t>() : nullptr,
                                     .count = from.numel(),
                                     .width = from.size(-1),
                                     .seed = site.seed,
                                     .threshold = KeepThreshold(site.rate),
                                     .scale = static_cast<scalar_t>(1.0 / (1.0 - site.rate))};
    if (from.is_cpu()) {
      for (int64_t i = 0; i < call.count; ++i) DropElement(call, i);
      return;
    }
#ifdef STRATA_CUDA
    const c10::cuda::CUDAGuard guard(from.device());
    C10_CUDA_CHECK(static_cast<cudaError_t>(LaunchDropout(call, c10::cuda::getCurrentCUDAStream().stream())));
#else
    TORCH_CHECK(false, "this build has no dropout for tensors on ", from.device());
#endif
  });
  return out;
}

}  // namespace strata::model
