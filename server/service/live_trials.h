// How trainings stand right now: figures that are shown and exported but never stored. A training that ended stays for
// five minutes. Thread-safe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/service/events.h"

namespace strata::service {

struct LiveJob {
  std::string job;
  bool training = false;
  int32_t updates_done = 0;
  int32_t updates = 0;
  double seconds_per_update = 0;
  double tokens_per_second = 0;
  std::string phase;
  absl::Time progress_time;  // of the last progress event's arrival, or of the attempt's start
  bool diverged = false;     // a rule of divergence has held
  int32_t checkpoint_written = -1;  // update of the newest resumable checkpoint on the worker's disk; -1: none
  std::optional<double> loss, learning_rate, valid_nll;
  std::map<std::string, std::vector<double>> gradient_norms;  // by stack; d(loss)/d(layer's output)
  absl::Time ended = absl::InfiniteFuture();
};

class LiveTrials {
 public:
  static constexpr absl::Duration kKept = absl::Minutes(5);

  // What stored events say of a job. `updates` is what it has to do.
  void Apply(const std::string& job, bool training, int32_t updates, const std::vector<TrainerEvent>& events,
             absl::Time now);
  void End(const std::string& job, absl::Time now);
  std::optional<LiveJob> Find(const std::string& job) const;
  // Those that live or ended less than five minutes ago; forgets the others.
  std::vector<LiveJob> All(absl::Time now);

 private:
  mutable base::Mutex mutex_;
  std::map<std::string, LiveJob> jobs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace strata::service
