#include "worker/agent/devices.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace strata::agent {
namespace {

constexpr int kMostSlots = 1024;

absl::StatusOr<std::vector<int>> Cores(const std::string& asked_for) {
  std::vector<int> cores = AllowedCores();
  if (asked_for.empty()) return cores;
  const auto asked = ParseCores(asked_for);
  if (!asked.ok()) return asked.status();
  std::vector<int> both;
  std::set_intersection(asked->begin(), asked->end(), cores.begin(), cores.end(), std::back_inserter(both));
  if (both.size() == asked->size()) return both;
  return absl::InvalidArgumentError(
      absl::StrCat("--cores: ", asked_for, " is more than this process may use (", FormatCores(cores), ")."));
}

absl::StatusOr<Devices> CpuSlots(const DeviceFlags& flags, const std::vector<int>& cores) {
  const int count = flags.slots == 0 ? static_cast<int>(cores.size()) : flags.slots;
  if (count < 1 || count > kMostSlots) {
    return absl::InvalidArgumentError(absl::StrCat("--slots: ", count, " is not between 1 and ", kMostSlots, "."));
  }
  if (count > static_cast<int>(cores.size())) {
    spdlog::warn("{} slots share {} cores: trainers will slow each other down", count, cores.size());
  }
  return Devices{.slots = ShareOut(cores, count)};
}

}  // namespace

absl::StatusOr<Devices> ChooseDevices(const DeviceFlags& flags, const char* visible) {
  if (flags.device != "auto" && flags.device != "gpu" && flags.device != "cpu") {
    return absl::InvalidArgumentError(absl::StrCat("--device: \"", flags.device, "\" is none. Use auto, gpu or cpu."));
  }
  const auto cores = Cores(flags.cores);
  if (!cores.ok()) return cores.status();
  const bool wanted = flags.device == "gpu";
  if (flags.device == "cpu" || (!wanted && flags.slots != 0)) return CpuSlots(flags, *cores);

  auto found = FindGpus(flags.nvml_library, visible);
  std::vector<std::string> why;
  if (!found.ok()) {
    why.emplace_back(found.status().message());
  } else {
    why = found->refused;
    if (found->nvml == nullptr) why.push_back(absl::StrCat("There is no NVML (", flags.nvml_library, ")."));
  }
  if (!found.ok() || found->gpus.empty()) {
    if (found.ok() && why.empty()) why.push_back("NVML lists none that CUDA_VISIBLE_DEVICES lets this agent see.");
    if (wanted) {
      return absl::InvalidArgumentError(
          absl::StrCat("--device gpu: this machine has no GPU that can be used. ", absl::StrJoin(why, " ")));
    }
    if (!found.ok() || found->nvml != nullptr) spdlog::warn("{} CPU slots are offered.", absl::StrJoin(why, " "));
    return CpuSlots(flags, *cores);
  }
  for (const std::string& sentence : why) spdlog::warn("{}", sentence);
  const auto count = static_cast<int>(found->gpus.size());
  if (flags.slots < 0 || flags.slots > count) {
    return absl::InvalidArgumentError(
        absl::StrCat("--slots: ", flags.slots, ", but ", count, count == 1 ? " GPU" : " GPUs", " can be used."));
  }
  if (flags.slots > 0) found->gpus.resize(static_cast<size_t>(flags.slots));
  Devices devices{.slots = GpuSlots(found->gpus, *cores), .gpus = found->gpus, .nvml = std::move(found->nvml)};
  return devices;
}

}  // namespace strata::agent
