#include "worker/trainer/environment.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <torch/version.h>
#include <unistd.h>
#ifdef STRATA_CUDA
#include <ATen/cuda/CUDAContext.h>
#endif

#include <fstream>

#include "cmake/build_info.h"

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

}  // namespace

Environment SetUpEnvironment(int64_t threads) {
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
#ifdef STRATA_CUDA
  if (at::hasCUDA() && at::cuda::is_available()) {
    environment.device = c10::Device(c10::kCUDA, 0);
    environment.device_name = std::string("cuda: ") + at::cuda::getCurrentDeviceProperties()->name;
  }
#endif
  return environment;
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
