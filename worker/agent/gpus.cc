#include "worker/agent/gpus.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace strata::agent {
namespace {

constexpr size_t kErrorsKept = 16, kErrorsTold = 3;

// The commonest ones, as NVIDIA's "XID Errors" has them.
const char* Meaning(int64_t xid) {
  switch (xid) {
    case 13:
      return "an exception of the graphics engine, often an access out of bounds";
    case 31:
      return "a page fault of the GPU's memory";
    case 43:
      return "the program's work was stopped";
    case 45:
      return "the program's work was cleaned up";
    case 48:
      return "an uncorrectable memory error";
    case 63:
    case 64:
      return "a memory row was retired";
    case 74:
      return "an error of NVLink";
    case 79:
      return "the GPU has fallen off the bus";
    case 94:
    case 95:
      return "an uncorrectable memory error";
    case 119:
    case 120:
      return "the GPU's own processor does not answer";
    default:
      return "see NVIDIA's table of XID errors";
  }
}

// What CUDA would make of CUDA_VISIBLE_DEVICES: up to the first entry that names none.
bool Visible(const GpuIdentity& gpu, const char* visible) {
  if (visible == nullptr) return true;
  for (const absl::string_view entry : absl::StrSplit(visible, ',')) {
    const absl::string_view name = absl::StripAsciiWhitespace(entry);
    int32_t index = 0;
    if (absl::SimpleAtoi(name, &index)) {
      if (index < 0) return false;
      if (index == gpu.index) return true;
    } else if (!name.empty() && absl::StartsWith(gpu.uuid, name)) {
      return true;
    }
  }
  return false;
}

}  // namespace

absl::StatusOr<FoundGpus> FindGpus(const std::string& library, const char* visible) {
  FoundGpus found;
  auto nvml = Nvml::Open(library);
  if (nvml.status().code() == absl::StatusCode::kUnavailable) return found;
  if (!nvml.ok()) return nvml.status();
  found.nvml = *std::move(nvml);
  const auto count = found.nvml->Count();
  if (!count.ok()) return count.status();
  for (int32_t index = 0; index < *count; ++index) {
    auto gpu = found.nvml->Identify(index);
    if (!gpu.ok()) {
      found.refused.emplace_back(gpu.status().message());
    } else if (Visible(*gpu, visible)) {
      found.gpus.push_back(*std::move(gpu));
    }
  }
  return found;
}

std::vector<Slot> GpuSlots(const std::vector<GpuIdentity>& gpus, const std::vector<int>& cores) {
  std::vector<Slot> slots = ShareOut(cores, static_cast<int>(gpus.size()));
  for (size_t i = 0; i < gpus.size(); ++i) {
    slots[i].device = gpus[i].name.empty() ? "gpu" : gpus[i].name;
    slots[i].uuid = gpus[i].uuid;
    slots[i].memory_bytes = gpus[i].memory_bytes;
  }
  return slots;
}

GpuWatch::GpuWatch(std::unique_ptr<Nvml> nvml, std::vector<GpuIdentity> gpus, Options options,
                   std::function<void()> lost)
    : nvml_(std::move(nvml)), options_(options), lost_(std::move(lost)) {
  for (GpuIdentity& gpu : gpus) {
    const absl::Status watched = nvml_->Watch(gpu.index);
    if (!watched.ok()) spdlog::warn("no XID errors will be told: {}", std::string(watched.message()));
    watching_ |= watched.ok();
    gpus_.push_back({.view = {.gpu = std::move(gpu)}});
  }
  ReadAll();
  thread_ = std::thread([this] { Run(); });
}

GpuWatch::~GpuWatch() {
  {
    base::MutexLock lock(mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

std::vector<GpuView> GpuWatch::View() const {
  base::MutexLock lock(mutex_);
  std::vector<GpuView> views;
  for (const Gpu& gpu : gpus_) views.push_back(gpu.view);
  return views;
}

bool GpuWatch::Usable(const std::string& uuid) const {
  base::MutexLock lock(mutex_);
  return std::none_of(gpus_.begin(), gpus_.end(),
                      [&](const Gpu& gpu) { return gpu.view.gpu.uuid == uuid && !gpu.view.usable; });
}

std::string GpuWatch::TroubleSince(const std::string& uuid, absl::Time since) const {
  base::MutexLock lock(mutex_);
  std::string text;
  for (const Gpu& gpu : gpus_) {
    if (gpu.view.gpu.uuid != uuid) continue;
    const size_t first = gpu.errors.size() - std::min(gpu.errors.size(), kErrorsTold);
    for (size_t i = first; i < gpu.errors.size(); ++i) {
      const Error& error = gpu.errors[i];
      if (error.time < since) continue;
      absl::StrAppend(&text, text.empty() ? "" : " ", "Its GPU ", gpu.view.gpu.index, " (", uuid, ") told XID ",
                      error.xid, " at ", absl::FormatTime("%H:%M:%S", error.time, absl::UTCTimeZone()),
                      " UTC: ", Meaning(error.xid), ".");
    }
    if (!gpu.loss.empty()) absl::StrAppend(&text, text.empty() ? "" : " ", gpu.loss);
  }
  return text;
}

void GpuWatch::Run() {
  absl::Time last = absl::Now();
  for (;;) {
    WaitForErrors();
    {
      base::MutexLock lock(mutex_);
      if (stop_) return;
    }
    const absl::Time now = absl::Now();
    if (now - last >= options_.read_every || now < last) {
      ReadAll();
      last = now;
    }
    WithdrawLost();
  }
}

void GpuWatch::WaitForErrors() {
  if (watching_) {
    const auto event = nvml_->WaitForXid(options_.wait);
    if (event.ok()) return Note(*event);
    if (event.status().code() == absl::StatusCode::kDeadlineExceeded) return;
    if (event.status().code() != absl::StatusCode::kDataLoss) {
      spdlog::warn("{}", std::string(event.status().message()));
      watching_ = false;
    }
  }
  // NVML may answer at once from now on; the next reading tells which GPU is lost.
  base::MutexLock lock(mutex_);
  if (!stop_) changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(options_.wait));
}

void GpuWatch::Note(const XidEvent& event) {
  base::MutexLock lock(mutex_);
  for (Gpu& gpu : gpus_) {
    if (gpu.view.gpu.index != event.index) continue;
    spdlog::warn("GPU {} ({}) told XID {}: {}", event.index, gpu.view.gpu.uuid, event.xid, Meaning(event.xid));
    gpu.view.last_xid = event.xid;
    if (gpu.errors.size() == kErrorsKept) gpu.errors.erase(gpu.errors.begin());
    gpu.errors.push_back({event.xid, absl::Now()});
  }
}

void GpuWatch::ReadAll() {
  std::vector<GpuView> views = View();
  for (size_t i = 0; i < views.size(); ++i) {
    const auto reading = nvml_->Read(views[i].gpu.index);  // without the mutex: a sick GPU may take its time
    base::MutexLock lock(mutex_);
    gpus_[i].view.reading = reading.ok() ? *reading : GpuReading{.memory_total = views[i].gpu.memory_bytes};
    if (reading.status().code() == absl::StatusCode::kDataLoss && gpus_[i].loss.empty()) {
      gpus_[i].lost_at = absl::Now();
      gpus_[i].loss = std::string(reading.status().message());
      spdlog::error("{}", gpus_[i].loss);
    }
  }
}

void GpuWatch::WithdrawLost() {
  bool some = false;
  {
    base::MutexLock lock(mutex_);
    for (Gpu& gpu : gpus_) {
      if (!gpu.view.usable || absl::Now() - gpu.lost_at < options_.withdraw_after) continue;
      gpu.view.usable = false;
      some = true;
    }
  }
  if (some && lost_) lost_();
}

}  // namespace strata::agent
