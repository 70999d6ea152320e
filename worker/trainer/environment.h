// The machine as a trainer sees it, and how the trainer sets itself up on it.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

#include "model/config.h"
#include "worker/trainer/events.h"

namespace strata::trainer {

struct Environment {
  c10::Device device{c10::kCPU};
  std::string device_name;  // "cpu", or "cuda: NVIDIA H100"
  std::string isa;          // instruction set that LibTorch computes with, and the maker: "AVX512 (AuthenticAMD)"
  std::string host;
  std::string libtorch;  // "2.11.0"
  int64_t threads = 1;
  std::string bf16_lacks;  // why bf16 cannot be had here, and a remedy that names the spec's field FIELD; empty: it can
};

// Sets threads (intra-op; one inter-op), flushes denormals to zero on this thread and the pool's, chooses CUDA where it
// is built in and a device is there (the first that CUDA_VISIBLE_DEVICES leaves), with float32 products in float32 and
// results that repeat bit by bit. Once a process, before any tensor is made, on the training thread. Failure (internal) where
// CUDA_VISIBLE_DEVICES names a device and none answers.
Environment SetUpEnvironment(int64_t threads);

// Failure (bad_spec) where `field` ("train.precision") asks for bf16 and this device or processor lacks it.
void CheckPrecision(const Environment& environment, const std::string& field, model::Precision precision);

// Fields of the `started` event.
Json StartedFields(const Environment& environment, int64_t world_size);

}  // namespace strata::trainer
