// An attempt's log, bounded: beyond 16 MiB only its first and last 4 MiB are kept, with a line between them that says
// how much is left out. Offsets count all bytes that were ever appended. Callers append to one log one at a time.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace strata::service {

struct JobLogLimits {
  int64_t most = 16 << 20;
  int64_t end = 4 << 20;  // what is kept of the head, and of the tail
};

// Bytes appended so far; 0 if there is no log.
absl::StatusOr<int64_t> JobLogLength(const std::string& path, const JobLogLimits& limits = {});

// Appends at `offset`, which must be the length; FailedPrecondition says what it is. Returns the new length.
absl::StatusOr<int64_t> AppendJobLog(const std::string& path, int64_t offset, const std::string& text,
                                     const JobLogLimits& limits = {});

struct JobLogPiece {
  std::string text;  // whole UTF-8 characters; bytes that are none are replaced by '?'
  int64_t next_offset = 0;
  bool at_end = true;
};
absl::StatusOr<JobLogPiece> ReadJobLog(const std::string& path, int64_t offset, int64_t most_bytes,
                                       const JobLogLimits& limits = {});

}  // namespace strata::service
