#include "model/layers/device_path.h"

#include <ATen/ATen.h>

namespace strata::model {

thread_local int ForcedDevicePath::count_ = 0;

at::Tensor CopyTo(const at::Tensor& host, const at::Device& device) {
  if (device.is_cpu()) return host;
  if (host.numel() == 0) return host.to(device);
  return host.pin_memory().to(device, /*non_blocking=*/true);
}

}  // namespace strata::model
