// This worker's GPUs: which are offered as slots, how they are, and what errors they tell. One slot is one whole GPU.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "worker/agent/nvml.h"
#include "worker/agent/slots.h"

namespace strata::agent {

struct FoundGpus {
  std::unique_ptr<Nvml> nvml;        // null: no NVML on this machine
  std::vector<GpuIdentity> gpus;     // those that can be used
  std::vector<std::string> refused;  // a sentence for each that cannot
};

// The GPUs that NVML lists, less those that `visible` leaves out: CUDA_VISIBLE_DEVICES of the agent, as a batch system
// sets it (numbers or the beginnings of UUIDs; null: all). No library: none are found. FAILED_PRECONDITION: NVML is
// here and does not work.
absl::StatusOr<FoundGpus> FindGpus(const std::string& library, const char* visible);

// One slot a GPU, with its share of `cores`.
std::vector<Slot> GpuSlots(const std::vector<GpuIdentity>& gpus, const std::vector<int>& cores);

struct GpuView {
  GpuIdentity gpu;
  GpuReading reading;
  int64_t last_xid = 0;  // 0: none since the agent's start
  bool usable = true;
};

// Reads the GPUs every few seconds and waits for their errors, on a thread of its own. Thread-safe.
class GpuWatch {
 public:
  struct Options {
    absl::Duration read_every = absl::Seconds(5);
    absl::Duration wait = absl::Milliseconds(500);  // a destructor waits no longer than this and one reading
    // From the loss of a GPU to `lost`: an attempt on it may tell its own end meanwhile.
    absl::Duration withdraw_after = absl::Seconds(10);
  };
  // `lost` is called from the thread when a GPU can no longer be offered; Usable tells which.
  GpuWatch(std::unique_ptr<Nvml> nvml, std::vector<GpuIdentity> gpus, Options options, std::function<void()> lost);
  ~GpuWatch();

  std::vector<GpuView> View() const;
  bool Usable(const std::string& uuid) const;
  // Sentences about the errors that this GPU has told since, empty where there were none.
  std::string TroubleSince(const std::string& uuid, absl::Time since) const;

 private:
  struct Error {
    int64_t xid = 0;
    absl::Time time;
  };
  struct Gpu {
    GpuView view;
    std::vector<Error> errors;  // the last ones
    absl::Time lost_at = absl::InfiniteFuture();
    std::string loss;
  };

  void Run();
  void WaitForErrors();
  void ReadAll();
  void WithdrawLost();
  void Note(const XidEvent& event);

  const std::unique_ptr<Nvml> nvml_;
  const Options options_;
  const std::function<void()> lost_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::vector<Gpu> gpus_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool watching_ = false;  // the thread's: NVML tells errors of at least one of them
  std::thread thread_;
};

}  // namespace strata::agent
