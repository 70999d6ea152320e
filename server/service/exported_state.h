// What the coordinator exports of its state, read at each scrape: trainings, jobs, queue, workers, disk. Thread-safe.
//
// How many series: of a training 11 and one a layer and stack, while it trains and for five minutes after; at most
// kMostTrials trainings and kMostLayers layers a stack, the others are left out. Of a worker one, until it has signed
// off or has been lost for a day. Everything else has labels from fixed lists.
#pragma once

#include <prometheus/metric_family.h>

#include <map>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/service/coordinator.h"
#include "server/service/live_trials.h"

namespace strata::service {

class ExportedState {
 public:
  static constexpr size_t kMostTrials = 500;
  static constexpr size_t kMostLayers = 128;

  // The disk of `data_dir` is watched.
  ExportedState(Coordinator& coordinator, LiveTrials& live, std::string data_dir)
      : coordinator_(coordinator), live_(live), data_dir_(std::move(data_dir)) {}

  // Appends the families; those without a series are left out.
  void Collect(std::vector<prometheus::MetricFamily>& out);
  // The workers that are connected and serve metrics, as http_sd_configs of Prometheus reads them.
  std::string WorkerTargets();

 private:
  using Labels = std::vector<prometheus::ClientMetric::Label>;
  // What a trial is: labels of strata_trial_info.
  Labels InfoOf(const std::string& trial);

  Coordinator& coordinator_;
  LiveTrials& live_;
  const std::string data_dir_;
  base::Mutex mutex_;
  std::map<std::string, Labels> info_ ABSL_GUARDED_BY(mutex_);  // of the trials that are exported
};

// At most `most` of the layers 0 .. count - 1, evenly spread, first and last among them.
std::vector<size_t> ShownLayers(size_t count, size_t most);

}  // namespace strata::service
