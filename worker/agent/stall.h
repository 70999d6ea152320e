// Whether the ranks of one attempt on this worker hang: none of them has told anything for too long, as a trainer that
// works tells its progress at the end of an update or of a batch, about every second. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace strata::agent {

class StallWatch {
 public:
  // `limit`: resources.stall_seconds; zero: the larger of 60 s and 5 median updates. `start`: at least this long may
  // pass before the first update has ended (reading a checkpoint, meeting the others).
  StallWatch(absl::Duration limit, absl::Duration start) : asked_(limit), start_(start) {}

  // Seconds an update took, as a progress event says; 0: none has ended yet.
  void Pace(double seconds);
  // An update or a batch has ended: the limit of the start is over.
  void Begun() { begun_ = true; }
  // `told`: bytes that all ranks have written to their spools; more of them is a sign of life. `elapsed`: since the
  // last step; at most a second of it is counted, so that a machine that slept has no stall.
  void Step(int64_t told, absl::Duration elapsed);

  absl::Duration limit() const;
  bool stalled() const { return silent_ >= limit(); }
  // "for 3 s (resources.stall_seconds is 3)".
  std::string Explain() const;

 private:
  double Median() const;

  absl::Duration asked_, start_;
  absl::Duration silent_ = absl::ZeroDuration();
  int64_t told_ = 0;
  bool begun_ = false;
  std::vector<double> paces_;  // the last ones, as a ring
  size_t next_ = 0;
};

// resources.stall_seconds of a spec in JSON; zero where it says nothing.
absl::Duration StallLimit(const std::string& spec_json);

}  // namespace strata::agent
