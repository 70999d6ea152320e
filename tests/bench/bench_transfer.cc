// strata-bench-transfer ADDRESS: registers with a coordinator as the worker "bench" and waits for the attempt of a
// training. For each line "FILE SHA256" it uploads FILE as final weights as the agent does, fetches it again to
// FILE.back as one that resumes elsewhere does, and answers with two numbers: the seconds from the first call to the
// acknowledgement of the whole, and those until it is back, synced and verified.
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "server/base/file.h"
#include "strata/v1/artifact_service.grpc.pb.h"
#include "worker/agent/dataset_cache.h"
#include "worker/agent/grpc_coordinator.h"
#include "worker/agent/slots.h"
#include "worker/agent/uploader.h"

namespace {

using namespace strata::agent;  // NOLINT: this is the program
using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

[[noreturn]] void Fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

double TimeUpload(Coordinator& coordinator, const AttemptId& id, const std::string& path, const std::string& sha256) {
  Stats stats;
  const auto begun = Clock::now();
  Uploader uploader(coordinator, id, stats);
  uploader.Offer({{"checkpoint_final", sha256, strata::base::FileSize(path), 1, "final.safetensors"}, path});
  uploader.Finish(false);
  while (!uploader.Done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (!uploader.failure().ok()) Fail(std::string(uploader.failure().message()));
  return SecondsSince(begun);
}

// The name of the artifact of the job's trial that has this hash.
std::string NameOf(const std::string& address, const std::string& job, const std::string& sha256) {
  strata::v1::ArtifactService::Stub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  strata::v1::ListArtifactsRequest request;
  request.set_parent(job.substr(0, job.find("/jobs/")));
  strata::v1::ListArtifactsResponse response;
  grpc::ClientContext context;
  const grpc::Status status = stub.ListArtifacts(&context, request, &response);
  for (const auto& artifact : response.artifacts()) {
    if (artifact.sha256() == sha256) return artifact.name();
  }
  Fail("the trial has no such artifact: " + status.error_message());
}

double TimeDownload(Coordinator& coordinator, const std::string& name, const std::string& path,
                    const std::string& sha256) {
  const auto begun = Clock::now();
  const auto read = [&](int64_t offset, const ByteSink& sink) { return coordinator.ReadArtifact(name, offset, sink); };
  const absl::Status fetched = Fetch({path, -1, sha256, read}, [] { return false; });
  if (!fetched.ok()) Fail(std::string(fetched.message()));
  return SecondsSince(begun);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("strata-bench-transfer ADDRESS\n", stderr);
    return 2;
  }
  const std::string address = argv[1];
  GrpcCoordinator coordinator(address, "", {.name = "bench", .worker_uid = "bench", .slots = ShareOut({0}, 1)});
  if (const auto registered = coordinator.Register({}); !registered.ok())
    Fail(std::string(registered.status().message()));
  AttemptId id;
  int64_t generation = -1;
  while (id.job.empty()) {
    const auto assigned = coordinator.Synchronize(generation, absl::Seconds(1), {});
    if (!assigned.ok()) Fail(std::string(assigned.status().message()));
    generation = assigned->generation;
    if (!assigned->list.empty()) id = assigned->list[0].id;
  }
  std::atomic<bool> done = false;
  std::thread lease([&] {  // renewed meanwhile, as the agent does
    while (!done) (void)coordinator.Synchronize(generation, absl::Milliseconds(300), {id});
  });
  for (std::string path, sha256; std::cin >> path >> sha256;) {
    const double up = TimeUpload(coordinator, id, path, sha256);
    const double down = TimeDownload(coordinator, NameOf(address, id.job, sha256), path + ".back", sha256);
    std::printf("%.6f %.6f\n", up, down);
    std::fflush(stdout);
  }
  done = true;
  lease.join();
}
