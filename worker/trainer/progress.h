// Wall-clock figures of a job, reported about every second. They are never measurements.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "worker/trainer/events.h"

namespace strata::trainer {

// Not thread-safe.
class Progress {
 public:
  // `updates`: where the job will end.
  Progress(EventLog* events, int64_t updates) : events_(events), updates_(updates) {}

  // From now on time counts as `phase` (train, validate, evaluate); tells so at once where a second has passed.
  void Enter(const char* phase, int64_t update);
  // One step of the phase is done: `update` updates lie behind, `tokens` target tokens more were worked on.
  void Step(int64_t update, int64_t tokens);
  // Reports now, whatever the time.
  void Report(int64_t update);

 private:
  using Clock = std::chrono::steady_clock;
  void ReportWhenDue(int64_t update);

  EventLog* events_;
  int64_t updates_;
  std::string phase_ = "train";
  Clock::time_point step_began_ = Clock::now(), reported_ = Clock::now();
  // Of training steps since the last report; the last figures stay until there are new ones.
  double seconds_ = 0, seconds_per_update_ = 0, tokens_per_second_ = 0;
  int64_t steps_ = 0, tokens_ = 0;
};

}  // namespace strata::trainer
