#include "worker/agent/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/statvfs.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/http/pages.h"
#include "server/base/mutex.h"

namespace strata::agent {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

class StatsFamilies {
 public:
  StatsFamilies(const Stats& stats, std::string folder) : stats_(stats), folder_(std::move(folder)) {}

  std::vector<MetricFamily> Collect() const {
    std::vector<MetricFamily> families = Counts();
    struct statvfs disk {};
    if (::statvfs(folder_.c_str(), &disk) != 0) return families;
    const auto block = static_cast<int64_t>(disk.f_frsize);
    const std::atomic<int64_t> free = block * static_cast<int64_t>(disk.f_bavail);
    const std::atomic<int64_t> size = block * static_cast<int64_t>(disk.f_blocks);
    families.push_back(Family("strata_agent_disk_free_bytes",
                              "Room that is left to the agent on its state folder's disk.", MetricType::Gauge,
                              {{"", &free}}));
    families.push_back(Family("strata_agent_disk_size_bytes", "Size of the disk of the agent's state folder.",
                              MetricType::Gauge, {{"", &size}}));
    return families;
  }

 private:
  using Value = std::pair<const char*, const std::atomic<int64_t>*>;

  std::vector<MetricFamily> Counts() const {
    return {
        Family("strata_agent_slots", "Slots of this worker.", MetricType::Gauge, {{"", &stats_.slots}}),
        Family("strata_agent_slots_busy", "Slots that an attempt holds.", MetricType::Gauge,
               {{"", &stats_.busy_slots}}),
        Family("strata_agent_coordinator_connected", "1 while the coordinator answers, else 0.", MetricType::Gauge,
               {{"", &stats_.connected}}),
        Family("strata_agent_spool_lag_events",
               "Events that trainers have written and the coordinator has not acknowledged.", MetricType::Gauge,
               {{"", &stats_.spool_lag_events}}),
        Family("strata_agent_events_acknowledged_total", "Events that the coordinator has acknowledged.",
               MetricType::Counter, {{"", &stats_.events_acknowledged}}),
        Family("strata_agent_uploaded_bytes_total",
               "Bytes of checkpoints and other files acknowledged by the coordinator.", MetricType::Counter,
               {{"", &stats_.upload_bytes}}),
        Family("strata_agent_upload_failures_total",
               "Tries to upload a file that did not come to their end; they are repeated.", MetricType::Counter,
               {{"", &stats_.upload_failures}}),
        Family("strata_agent_attempts_started_total", "Attempts whose trainers this agent has started.",
               MetricType::Counter, {{"", &stats_.attempts_started}}),
        Family("strata_agent_attempts_adopted_total", "Attempts taken over from an earlier agent of this worker.",
               MetricType::Counter, {{"", &stats_.attempts_adopted}}),
        Family("strata_agent_attempts_ended_total", "Attempts that have ended here, by outcome.", MetricType::Counter,
               {{"succeeded", &stats_.attempts_succeeded},
                {"failed", &stats_.attempts_failed},
                {"stopped", &stats_.attempts_stopped},
                {"fenced", &stats_.attempts_fenced}}),
    };
  }

  static MetricFamily Family(const char* name, const char* help, MetricType type, const std::vector<Value>& values) {
    MetricFamily family{.name = name, .help = help, .type = type};
    for (const auto& [outcome, value] : values) {
      ClientMetric metric;
      if (*outcome != '\0') metric.label.push_back({"outcome", outcome});
      (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = static_cast<double>(value->load());
      family.metric.push_back(std::move(metric));
    }
    return family;
  }

  const Stats& stats_;
  const std::string folder_;
};

// As many series as there are GPUs; what a GPU does not tell has none.
class GpuFamilies {
 public:
  GpuFamilies(std::string worker, std::function<std::vector<GpuView>()> view)
      : worker_(std::move(worker)), view_(std::move(view)) {}

  std::vector<MetricFamily> Collect() const {
    const std::vector<GpuView> gpus = view_();
    const auto family = [&](const char* name, const char* help, double (*value)(const GpuView&)) {
      MetricFamily result{.name = name, .help = help, .type = MetricType::Gauge};
      for (const GpuView& gpu : gpus) {
        ClientMetric metric;
        metric.label = {{"worker", worker_}, {"gpu", absl::StrCat(gpu.gpu.index)}, {"uuid", gpu.gpu.uuid}};
        metric.gauge.value = value(gpu);
        if (metric.gauge.value >= 0) result.metric.push_back(std::move(metric));
      }
      return result;
    };
    return {
        family("strata_worker_gpu_offered", "1 while the GPU is offered as a slot, 0 once it is lost.",
               [](const GpuView& gpu) { return gpu.usable ? 1.0 : 0.0; }),
        family("strata_worker_gpu_utilisation_ratio", "Share of the last sampling period in which a kernel ran.",
               [](const GpuView& gpu) { return gpu.reading.utilisation; }),
        family("strata_worker_gpu_memory_used_bytes", "Memory of the GPU that is in use.",
               [](const GpuView& gpu) { return static_cast<double>(gpu.reading.memory_used); }),
        family("strata_worker_gpu_memory_total_bytes", "Memory of the GPU.",
               [](const GpuView& gpu) { return static_cast<double>(gpu.reading.memory_total); }),
        family("strata_worker_gpu_temperature_celsius", "Temperature of the GPU.",
               [](const GpuView& gpu) { return gpu.reading.celsius; }),
        family("strata_worker_gpu_power_watts", "Power that the GPU draws.",
               [](const GpuView& gpu) { return gpu.reading.watts; }),
        family("strata_worker_gpu_last_xid", "Code of the last critical error (XID) since the agent's start; 0: none.",
               [](const GpuView& gpu) { return static_cast<double>(gpu.last_xid); }),
    };
  }

 private:
  const std::string worker_;
  const std::function<std::vector<GpuView>()> view_;
};

class Server final : public MetricsServer {
 public:
  Server(const Stats& stats, const std::string& state_dir) : stats_(stats, state_dir) {}

  absl::Status Serve(const std::string& listen, const base::TlsFiles& tls) {
    const auto guard = [secure = tls.identity()](const base::PageCaller& caller) {
      if (!secure || caller.certificate) return absl::OkStatus();
      return absl::UnauthenticatedError(
          "Show a certificate of the cluster's authority: the agent keeps no tokens. 'strata admin certs user NAME --role "
          "viewer' makes one.");
    };
    auto pages = base::Pages::Serve({.listen = listen, .tls = tls, .guard = guard}, {{"/metrics", [this] { return Metrics(); }}});
    if (!pages.ok()) return pages.status();
    pages_ = *std::move(pages);
    return absl::OkStatus();
  }

  int port() const override { return pages_->port(); }

  void ShowGpus(std::string worker, std::function<std::vector<GpuView>()> view) override {
    base::MutexLock lock(mutex_);
    gpus_ = std::make_shared<GpuFamilies>(std::move(worker), std::move(view));
  }

 private:
  base::Page Metrics() {
    std::vector<MetricFamily> families = stats_.Collect();
    std::shared_ptr<GpuFamilies> gpus;
    {
      base::MutexLock lock(mutex_);
      gpus = gpus_;
    }
    if (gpus != nullptr) {
      for (MetricFamily& family : gpus->Collect()) families.push_back(std::move(family));
    }
    return {"text/plain; version=0.0.4; charset=utf-8", prometheus::TextSerializer().Serialize(families)};
  }

  const StatsFamilies stats_;
  base::Mutex mutex_;
  std::shared_ptr<GpuFamilies> gpus_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<base::Pages> pages_;  // last: closed before what they show
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> ServeMetrics(const std::string& listen, const Stats& stats,
                                                            const std::string& state_dir, const base::TlsFiles& tls) {
  auto server = std::make_unique<Server>(stats, state_dir);
  const absl::Status status = server->Serve(listen, tls);
  if (absl::IsFailedPrecondition(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat("Cannot serve metrics on ", listen,
                     ": the port is in use, or the address is not this machine's. Give another --metrics-listen, or "
                     "none."));
  }
  if (!status.ok()) return status;
  return server;
}

}  // namespace strata::agent
