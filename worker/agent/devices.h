// What this worker offers: its GPUs, or shares of its CPU cores, as the flags and NVML have it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/agent/gpus.h"
#include "worker/agent/slots.h"

namespace strata::agent {

struct DeviceFlags {
  std::string device = "auto";  // auto: GPUs where there are any and --slots is not given; gpu; cpu
  int slots = 0;                // CPU slots, or how many of the GPUs; 0: one a core, or all GPUs
  std::string cores;            // to share out to the slots; empty: all that this process may use
  std::string nvml_library = kNvmlLibrary;
};

struct Devices {
  std::vector<Slot> slots;
  std::vector<GpuIdentity> gpus;  // of the slots, in their order; none: they are CPU slots
  std::unique_ptr<Nvml> nvml;     // where there are GPUs
};

// `visible`: CUDA_VISIBLE_DEVICES, or null. INVALID_ARGUMENT with a sentence: what the flags ask for is not to be had.
// GPUs that cannot be used are left out with a warning in the log.
absl::StatusOr<Devices> ChooseDevices(const DeviceFlags& flags, const char* visible);

}  // namespace strata::agent
