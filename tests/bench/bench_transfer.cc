// strata-bench-transfer ADDRESS FILE SHA256: registers with a coordinator as the worker "bench", waits for the attempt
// of a training, uploads FILE as its final weights as the agent does, and prints the seconds from the first call to the
// acknowledgement of the whole.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>

#include "server/base/file.h"
#include "worker/agent/grpc_coordinator.h"
#include "worker/agent/slots.h"
#include "worker/agent/uploader.h"

int main(int argc, char** argv) {
  using namespace strata::agent;  // NOLINT: this is the program
  if (argc != 4) {
    std::fputs("strata-bench-transfer ADDRESS FILE SHA256\n", stderr);
    return 2;
  }
  GrpcCoordinator coordinator(argv[1], "", {.name = "bench", .worker_uid = "bench", .slots = ShareOut({0}, 1)});
  if (const auto registered = coordinator.Register({}); !registered.ok()) {
    std::fprintf(stderr, "%s\n", std::string(registered.status().message()).c_str());
    return 1;
  }
  AttemptId id;
  int64_t generation = -1;
  while (id.job.empty()) {
    const auto assigned = coordinator.Synchronize(generation, absl::Seconds(1), {});
    if (!assigned.ok()) return 1;
    generation = assigned->generation;
    if (!assigned->list.empty()) id = assigned->list[0].id;
  }
  std::atomic<bool> done = false;
  std::thread lease([&] {  // renewed meanwhile, as the agent does
    while (!done) (void)coordinator.Synchronize(generation, absl::Milliseconds(300), {id});
  });
  Stats stats;
  const auto begun = std::chrono::steady_clock::now();
  Uploader uploader(coordinator, id, stats);
  const int64_t bytes = strata::base::FileSize(argv[2]);
  uploader.Offer({{"checkpoint_final", argv[3], bytes, 1, "final.safetensors"}, argv[2]});
  uploader.Finish(false);
  while (!uploader.Done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begun;
  done = true;
  lease.join();
  if (!uploader.failure().ok()) {
    std::fprintf(stderr, "%s\n", std::string(uploader.failure().message()).c_str());
    return 1;
  }
  std::printf("%.6f\n", seconds.count());
}
