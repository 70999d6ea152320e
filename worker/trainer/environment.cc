#include "worker/trainer/environment.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>
#include <unistd.h>
#ifdef STRATA_CUDA
#include <ATen/cuda/CUDAContext.h>

#include <cstdlib>
#endif

#include <fstream>

#include "cmake/build_info.h"
#include "model/layers/bf16_kernels.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

std::string CpuMaker() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("vendor_id")) return line.substr(line.find(':') + 2);
  }
  return "unknown maker";
}

std::string HostName() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

#ifdef STRATA_CUDA
constexpr int kBf16Capability = 8;  // compute capability from which GPUs multiply bf16

// Before CUDA starts: with this cuBLAS adds in the same order every time.
void PrepareCuda() { ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0); }

void ChooseCuda(Environment* environment) {
  if (!at::hasCUDA() || !at::cuda::is_available()) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    if (visible == nullptr || *visible == '\0') return;
    throw Failure(Cause::kInternal, std::string("CUDA_VISIBLE_DEVICES is ") + visible +
                                        ", but no GPU answers under that name. See nvidia-smi, and that its driver is "
                                        "580 or newer, as CUDA 13 needs.");
  }
  auto& context = at::globalContext();
  context.setFloat32MatmulPrecision("highest");  // no TF32
  context.setAllowBF16ReductionCuBLAS(false);
  const cudaDeviceProp& properties = *at::cuda::getCurrentDeviceProperties();
  environment->device = c10::Device(c10::kCUDA, 0);
  environment->device_name = std::string("cuda: ") + properties.name;
  environment->bf16_lacks.clear();
  if (properties.major >= kBf16Capability) return;
  environment->bf16_lacks = std::string("this worker's GPU is a ") + properties.name + " of compute capability " +
                            std::to_string(properties.major) + "." + std::to_string(properties.minor) +
                            ", and GPUs multiply bf16 from 8.0 on. Set FIELD: fp32, or use a worker with such a GPU.";
}
#endif

}  // namespace

Environment SetUpEnvironment(int64_t threads) {
#ifdef STRATA_CUDA
  PrepareCuda();
#endif
  at::set_num_interop_threads(1);
  at::set_num_threads(static_cast<int>(threads));
  at::globalContext().setFlushDenormal(true);
  // The setting is a thread's own, and the pool's threads stay: one piece of work for each of them.
  at::parallel_for(0, threads, 1, [](int64_t, int64_t) { at::globalContext().setFlushDenormal(true); });
  Environment environment{.device_name = "cpu",
                          .isa = at::get_cpu_capability() + " (" + CpuMaker() + ")",
                          .host = HostName(),
                          .libtorch = TORCH_VERSION,
                          .threads = threads};
  if (!model::HasBf16Instructions()) {
    environment.bf16_lacks = "this worker computes with " + environment.isa +
                             ", which lacks the instructions AVX512_BF16: bf16 would be slower than fp32. Set FIELD: fp32, "
                             "or use a worker whose processor has them.";
  }
#ifdef STRATA_CUDA
  ChooseCuda(&environment);
#endif
  return environment;
}

void CheckPrecision(const Environment& environment, const std::string& field, model::Precision precision) {
  if (precision != model::Precision::kBfloat16 || environment.bf16_lacks.empty()) return;
  std::string why = environment.bf16_lacks;
  constexpr std::string_view kField = "FIELD";
  if (const size_t at = why.find(kField); at != std::string::npos) why.replace(at, kField.size(), field);
  throw Failure(Cause::kBadSpec, field + " is bf16, but " + why);
}

Json StartedFields(const Environment& environment, int64_t world_size) {
  return {{"build", {{"version", Version()}, {"commit", Commit()}}},
          {"libtorch", environment.libtorch},
          {"device", environment.device_name},
          {"threads", environment.threads},
          {"isa", environment.isa},
          {"host", environment.host},
          {"pid", static_cast<int64_t>(::getpid())},
          {"world_size", world_size}};
}

}  // namespace strata::trainer
