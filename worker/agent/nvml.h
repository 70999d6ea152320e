// NVIDIA's management library, opened at run time: nothing links it, and a machine without it has no GPU. Only what the
// agent reads is declared. Calls are those of nvml.h, with their status as a sentence.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace strata::agent {

inline constexpr char kNvmlLibrary[] = "libnvidia-ml.so.1";

struct GpuIdentity {
  int32_t index = 0;  // as NVML and nvidia-smi count, in PCI order
  std::string name;   // "NVIDIA H100 80GB HBM3"
  std::string uuid;   // "GPU-8f3c..."
  int64_t memory_bytes = 0;
};

// What a GPU shows at one moment. A value that it does not tell is negative.
struct GpuReading {
  double utilisation = -1;  // of the last sampling period, 0 to 1
  int64_t memory_used = -1, memory_total = -1;
  double celsius = -1;
  double watts = -1;
};

struct XidEvent {
  int32_t index = -1;  // GPU; -1: one that is not known
  int64_t xid = 0;
};

// Thread-safe, as NVML is. One at a time in a process.
class Nvml {
 public:
  // UNAVAILABLE: the library is not on this machine. FAILED_PRECONDITION: it is, and does not work: driver not loaded,
  // versions that differ, a function missing; the sentence says which and what to do.
  static absl::StatusOr<std::unique_ptr<Nvml>> Open(const std::string& library = kNvmlLibrary);
  virtual ~Nvml() = default;

  virtual absl::StatusOr<int32_t> Count() = 0;
  // FAILED_PRECONDITION: this GPU is lost, in MIG mode or without permission; a sentence that names it.
  virtual absl::StatusOr<GpuIdentity> Identify(int32_t index) = 0;
  // DATA_LOSS: the GPU is lost.
  virtual absl::StatusOr<GpuReading> Read(int32_t index) = 0;
  // Subscribes to critical errors of a GPU. UNIMPLEMENTED: it has none to tell.
  virtual absl::Status Watch(int32_t index) = 0;
  // Waits for the next critical error of the watched GPUs. DEADLINE_EXCEEDED: there was none. DATA_LOSS: a GPU is lost.
  virtual absl::StatusOr<XidEvent> WaitForXid(absl::Duration longest) = 0;
};

}  // namespace strata::agent
