// How a job's state may change, and which causes of failure a new attempt can mend. Pure.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/core/types.h"

namespace strata::core {

// What happens to a job.
enum class JobEvent {
  kPlaced,         // leases granted: an attempt begins
  kRanksUp,        // every rank of the attempt has started
  kSucceeded,      // the attempt ended well
  kDiverged,       // the attempt ended with the verdict
  kRequeued,       // the attempt ended, and the job waits for another
  kFailed,         // the attempt ended, and no other can help or is allowed
  kCancelAsked,    // a person wants it cancelled
  kUpstreamEnded,  // the job that it waits for ended otherwise than it needs
  kRetryAsked,     // a person wants it tried again
};

inline constexpr JobState kAllJobStates[] = {JobState::kQueued,     JobState::kPending,   JobState::kRunning,
                                             JobState::kCancelling, JobState::kSucceeded, JobState::kFailed,
                                             JobState::kCancelled,  JobState::kDiverged};
inline constexpr JobEvent kAllJobEvents[] = {JobEvent::kPlaced,      JobEvent::kRanksUp,       JobEvent::kSucceeded,
                                             JobEvent::kDiverged,    JobEvent::kRequeued,      JobEvent::kFailed,
                                             JobEvent::kCancelAsked, JobEvent::kUpstreamEnded, JobEvent::kRetryAsked};

const char* Name(JobEvent event);  // in words: "placed", "all ranks up", ...

// The state after `event`, or kFailedPrecondition naming both where the event does not apply.
// Total: the table has an entry for every pair, and a test walks them all.
absl::StatusOr<JobState> Next(JobState state, JobEvent event);

// May a new attempt mend what ended the last one with `cause`? A cause that the table does not know: no; a person
// decides.
bool CanMend(std::string_view cause);

// The causes that the table knows.
std::vector<std::string_view> Causes();
bool IsCause(std::string_view cause);

// How long to wait after the n-th failure, n from 1: `first`, doubled with each, at most `longest`.
absl::Duration Backoff(int32_t failures, absl::Duration first, absl::Duration longest);

}  // namespace strata::core
