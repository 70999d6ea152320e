// Which of two implementations a layer takes: the processors' kernels (kernels.h) or, for tensors on any other device,
// LibTorch's operations (device_rows.h, device_attention.h, device_product.h).
#pragma once

#include <ATen/core/Tensor.h>

namespace strata::model {

// For tests on machines without such a device: while it lives, this thread sends CPU tensors the devices' way.
class ForcedDevicePath {
 public:
  ForcedDevicePath() { ++count_; }
  ~ForcedDevicePath() { --count_; }
  ForcedDevicePath(const ForcedDevicePath&) = delete;
  ForcedDevicePath& operator=(const ForcedDevicePath&) = delete;

  static bool on() { return count_ > 0; }

 private:
  static thread_local int count_;
};

// Whether the processors' kernels compute what comes of `tensor`.
inline bool UsesKernels(const at::Tensor& tensor) { return tensor.is_cpu() && !ForcedDevicePath::on(); }

// `host`, a CPU tensor, on `device`: itself for the CPU, else a copy that is begun and not waited for.
at::Tensor CopyTo(const at::Tensor& host, const at::Device& device);

}  // namespace strata::model
