// NVML for tests: a shared library with the functions that the agent uses, whose GPUs stand in the JSON file that the
// variable STRATA_FAKE_NVML names, read anew at each call:
// {"init": CODE, "gpus": [{"name": "...", "uuid": "...", "memory": BYTES, "used": BYTES, "utilisation": PERCENT,
//   "celsius": N, "milliwatts": N, "mig": 0, "error": CODE, "quiet": true}], "xids": [[GPU, XID], ...]}
// `error` is what every reading of that GPU answers, `quiet` that it tells no errors; each XID is told once.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

namespace {

using nlohmann::json;

char devices[64];  // a device's handle is the address of its byte
size_t told = 0;

json Read() {
  const char* const path = std::getenv("STRATA_FAKE_NVML");
  json all = json::parse(std::ifstream(path == nullptr ? "" : path), nullptr, false);
  return all.is_object() ? all : json::object();
}

json Gpu(void* device) { return Read().at("gpus").at(static_cast<size_t>(static_cast<char*>(device) - devices)); }

template <typename T>
int Answer(void* device, const char* key, T* value) {
  const json gpu = Gpu(device);
  if (const int error = gpu.value("error", 0); error != 0) return error;
  if (!gpu.contains(key)) return 3;  // not supported
  *value = gpu.at(key).get<T>();
  return 0;
}

int Copy(void* device, const char* key, char* to, unsigned size) {
  std::string text;
  const int code = Answer(device, key, &text);
  if (code == 0) std::snprintf(to, size, "%s", text.c_str());
  return code;
}

}  // namespace

extern "C" {

int nvmlInit_v2() {
  told = 0;
  return Read().value("init", 0);
}
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int code) {
  return code == 18 ? "Driver/library version mismatch" : code == 15 ? "GPU is lost" : "Unknown Error";
}
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(Read().value("gpus", json::array()).size());
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = devices + index;
  return 0;
}
int nvmlDeviceGetName(void* device, char* to, unsigned size) { return Copy(device, "name", to, size); }
int nvmlDeviceGetUUID(void* device, char* to, unsigned size) { return Copy(device, "uuid", to, size); }
int nvmlDeviceGetMemoryInfo(void* device, unsigned long long* memory) {
  unsigned long long total = 0, used = 0;
  const int code = Answer(device, "memory", &total);
  if (code != 0) return code;
  Answer(device, "used", &used);
  memory[0] = total;
  memory[1] = total - used;
  memory[2] = used;
  return 0;
}
int nvmlDeviceGetUtilizationRates(void* device, unsigned* rates) {
  rates[1] = 0;
  return Answer(device, "utilisation", &rates[0]);
}
int nvmlDeviceGetTemperature(void* device, int, unsigned* celsius) { return Answer(device, "celsius", celsius); }
int nvmlDeviceGetPowerUsage(void* device, unsigned* milliwatts) { return Answer(device, "milliwatts", milliwatts); }
int nvmlDeviceGetMigMode(void* device, unsigned* current, unsigned* pending) {
  *pending = 0;
  return Answer(device, "mig", current);
}
int nvmlEventSetCreate(void** set) {
  *set = devices;
  return 0;
}
int nvmlDeviceRegisterEvents(void* device, unsigned long long types, void*) {
  return types != 8 ? 2 : Gpu(device).value("quiet", false) ? 3 : 0;
}
int nvmlEventSetFree(void*) { return 0; }

struct EventData {
  void* device;
  unsigned long long type, data;
  unsigned gpu_instance, compute_instance;
};
int nvmlEventSetWait_v2(void*, EventData* data, unsigned milliseconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds);
  do {
    const json xids = Read().value("xids", json::array());
    if (told < xids.size()) {
      const json& next = xids[told++];
      *data = {devices + next[0].get<int>(), 8, next[1].get<unsigned long long>(), 0, 0};
      return 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  } while (std::chrono::steady_clock::now() < until);
  return 10;
}
}
