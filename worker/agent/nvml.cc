#include "worker/agent/nvml.h"

#include <dlfcn.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/mutex.h"

namespace strata::agent {
namespace {

// The library's own types and numbers, as its nvml.h has them. They have kept their values and layouts since 2012.
using Device = void*;
using EventSet = void*;
using Return = int;
constexpr Return kSuccess = 0, kNotSupported = 3, kNoPermission = 4, kDriverNotLoaded = 9, kTimeout = 10,
                 kLibraryMismatch = 18, kGpuIsLost = 15;
constexpr uint64_t kXidCriticalError = 8;
constexpr int kTemperatureOfGpu = 0;
constexpr unsigned kNameBytes = 96, kUuidBytes = 96;
struct Utilization {
  unsigned gpu, memory;  // percent
};
struct Memory {
  unsigned long long total, free, used;
};
struct EventData {
  Device device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};

struct Functions {
  Return (*init)();
  Return (*shutdown)();
  const char* (*error_string)(Return);
  Return (*count)(unsigned*);
  Return (*by_index)(unsigned, Device*);
  Return (*name)(Device, char*, unsigned);
  Return (*uuid)(Device, char*, unsigned);
  Return (*memory)(Device, Memory*);
  Return (*utilisation)(Device, Utilization*);
  Return (*temperature)(Device, int, unsigned*);
  Return (*power)(Device, unsigned*);  // milliwatts
  Return (*mig_mode)(Device, unsigned* current, unsigned* pending);
  Return (*create_set)(EventSet*);
  Return (*register_events)(Device, unsigned long long types, EventSet);
  Return (*wait)(EventSet, EventData*, unsigned milliseconds);
  Return (*free_set)(EventSet);
};

// Empty, or the name of the first function that the library lacks.
std::string Load(void* library, Functions* f) {
  std::string missing;
  const auto load = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
    if (function == nullptr && missing.empty()) missing = name;
  };
  load(f->init, "nvmlInit_v2");
  load(f->shutdown, "nvmlShutdown");
  load(f->error_string, "nvmlErrorString");
  load(f->count, "nvmlDeviceGetCount_v2");
  load(f->by_index, "nvmlDeviceGetHandleByIndex_v2");
  load(f->name, "nvmlDeviceGetName");
  load(f->uuid, "nvmlDeviceGetUUID");
  load(f->memory, "nvmlDeviceGetMemoryInfo");
  load(f->utilisation, "nvmlDeviceGetUtilizationRates");
  load(f->temperature, "nvmlDeviceGetTemperature");
  load(f->power, "nvmlDeviceGetPowerUsage");
  load(f->mig_mode, "nvmlDeviceGetMigMode");
  load(f->create_set, "nvmlEventSetCreate");
  load(f->register_events, "nvmlDeviceRegisterEvents");
  load(f->wait, "nvmlEventSetWait_v2");
  load(f->free_set, "nvmlEventSetFree");
  return missing;
}

class Library final : public Nvml {
 public:
  Library(void* library, const Functions& functions) : library_(library), f_(functions) {}
  ~Library() override {
    if (events_ != nullptr) f_.free_set(events_);
    f_.shutdown();
    ::dlclose(library_);
  }

  absl::StatusOr<int32_t> Count() override {
    unsigned count = 0;
    if (const Return code = f_.count(&count); code != kSuccess) {
      return absl::FailedPreconditionError(absl::StrCat("NVML cannot count this machine's GPUs: ", Says(code), "."));
    }
    return static_cast<int32_t>(count);
  }

  absl::StatusOr<GpuIdentity> Identify(int32_t index) override {
    const auto device = Find(index);
    if (!device.ok()) return device.status();
    unsigned mig = 0, pending = 0;
    if (f_.mig_mode(*device, &mig, &pending) == kSuccess && mig == 1) {
      return absl::FailedPreconditionError(
          absl::StrCat("GPU ", index, " is in MIG mode and is not offered: a slot is a whole GPU. Turn it off with ",
                       "nvidia-smi -i ", index, " -mig 0."));
    }
    GpuIdentity gpu{.index = index};
    char name[kNameBytes] = {}, uuid[kUuidBytes] = {};
    Memory memory{};
    Return code = f_.name(*device, name, sizeof name);
    if (code == kSuccess) code = f_.uuid(*device, uuid, sizeof uuid);
    if (code == kSuccess) code = f_.memory(*device, &memory);
    if (code != kSuccess) return Failed(index, code);
    gpu.name = name;
    gpu.uuid = uuid;
    gpu.memory_bytes = static_cast<int64_t>(memory.total);
    return gpu;
  }

  absl::StatusOr<GpuReading> Read(int32_t index) override {
    const auto device = Find(index);
    if (!device.ok()) return device.status();
    GpuReading reading;
    Utilization utilisation{};
    Memory memory{};
    unsigned celsius = 0, milliwatts = 0;
    Return lost = kSuccess;
    const auto told = [&](Return code) {
      if (code == kGpuIsLost) lost = code;
      return code == kSuccess;
    };
    if (told(f_.memory(*device, &memory))) {
      reading.memory_used = static_cast<int64_t>(memory.used);
      reading.memory_total = static_cast<int64_t>(memory.total);
    }
    if (told(f_.utilisation(*device, &utilisation))) reading.utilisation = utilisation.gpu / 100.0;
    if (told(f_.temperature(*device, kTemperatureOfGpu, &celsius))) reading.celsius = celsius;
    if (told(f_.power(*device, &milliwatts))) reading.watts = milliwatts / 1000.0;
    if (lost != kSuccess) return Failed(index, lost);
    return reading;
  }

  absl::Status Watch(int32_t index) override {
    const auto device = Find(index);
    if (!device.ok()) return device.status();
    base::MutexLock lock(mutex_);
    Return code = events_ == nullptr ? f_.create_set(&events_) : kSuccess;
    if (code == kSuccess) code = f_.register_events(*device, kXidCriticalError, events_);
    if (code == kNotSupported) {
      return absl::UnimplementedError(absl::StrCat("GPU ", index, " tells no XID errors."));
    }
    return code == kSuccess ? absl::OkStatus() : Failed(index, code);
  }

  absl::StatusOr<XidEvent> WaitForXid(absl::Duration longest) override {
    EventSet events = nullptr;
    {
      base::MutexLock lock(mutex_);
      events = events_;
    }
    if (events == nullptr) return absl::FailedPreconditionError("no GPU is watched");
    EventData data{};
    const Return code = f_.wait(events, &data, static_cast<unsigned>(absl::ToInt64Milliseconds(longest)));
    if (code == kTimeout) return absl::DeadlineExceededError("no error came");
    if (code == kGpuIsLost) return absl::DataLossError("a GPU is lost");
    if (code != kSuccess) return absl::InternalError(absl::StrCat("NVML tells no XID errors: ", Says(code), "."));
    base::MutexLock lock(mutex_);
    const auto known =
        std::find_if(devices_.begin(), devices_.end(), [&](const auto& entry) { return entry.second == data.device; });
    return XidEvent{known == devices_.end() ? -1 : known->first, static_cast<int64_t>(data.data)};
  }

 private:
  std::string Says(Return code) const { return f_.error_string(code); }

  absl::Status Failed(int32_t index, Return code) const {
    if (code == kGpuIsLost) {
      return absl::DataLossError(absl::StrCat("GPU ", index, " is lost (", Says(code),
                                              ") and is not offered. Reset it or restart the machine; dmesg | grep "
                                              "Xid tells why."));
    }
    if (code == kNoPermission) {
      return absl::FailedPreconditionError(absl::StrCat("GPU ", index, " is not offered: this user may not use it (",
                                                        Says(code), "). Give the agent's user access to /dev/nvidia",
                                                        index, "."));
    }
    return absl::FailedPreconditionError(
        absl::StrCat("GPU ", index, " is not offered: NVML answers \"", Says(code), "\". See nvidia-smi -q."));
  }

  // Handles are asked for once: a lost GPU's handle still says that it is lost.
  absl::StatusOr<Device> Find(int32_t index) {
    base::MutexLock lock(mutex_);
    if (const auto known = devices_.find(index); known != devices_.end()) return known->second;
    Device device = nullptr;
    const Return code = f_.by_index(static_cast<unsigned>(index), &device);
    if (code != kSuccess) return Failed(index, code);
    devices_[index] = device;
    return device;
  }

  void* const library_;
  const Functions f_;
  base::Mutex mutex_;
  std::map<int32_t, Device> devices_ ABSL_GUARDED_BY(mutex_);
  EventSet events_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

std::string RemedyOf(Return code) {
  if (code == kDriverNotLoaded) return "Load NVIDIA's driver (modprobe nvidia), or restart the machine.";
  if (code == kLibraryMismatch) return "The driver was updated while it ran: restart the machine.";
  return "See nvidia-smi.";
}

}  // namespace

absl::StatusOr<std::unique_ptr<Nvml>> Nvml::Open(const std::string& library) {
  void* const handle = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* const error = ::dlerror();
    const std::string why = error == nullptr ? "dlopen does not say why" : error;
    if (absl::StrContains(why, "cannot open shared object file")) return absl::UnavailableError(why);
    return absl::FailedPreconditionError(
        absl::StrCat("NVML (", library, ") cannot be loaded: ", why, ". Reinstall NVIDIA's driver."));
  }
  Functions functions{};
  const std::string missing = Load(handle, &functions);
  if (!missing.empty()) {
    ::dlclose(handle);
    return absl::FailedPreconditionError(
        absl::StrCat("NVML (", library, ") has no ", missing, ": the driver is older than 470. Update it."));
  }
  const Return code = functions.init();
  if (code != kSuccess) {
    std::string sentence =
        absl::StrCat("NVML (", library, ") does not start: ", functions.error_string(code), ". ", RemedyOf(code));
    ::dlclose(handle);
    return absl::FailedPreconditionError(sentence);
  }
  return std::unique_ptr<Nvml>(std::make_unique<Library>(handle, functions));
}

}  // namespace strata::agent
