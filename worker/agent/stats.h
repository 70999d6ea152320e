// Counts that the agent keeps for its /metrics. Thread-safe.
#pragma once

#include <atomic>
#include <cstdint>

namespace strata::agent {

struct Stats {
  std::atomic<int64_t> slots{0};
  std::atomic<int64_t> busy_slots{0};
  std::atomic<int64_t> spool_lag_events{0};  // read but not acknowledged
  std::atomic<int64_t> connected{0};         // 1 while the coordinator answers
  std::atomic<int64_t> upload_bytes{0};
  std::atomic<int64_t> upload_failures{0};  // tries
  std::atomic<int64_t> events_acknowledged{0};
  std::atomic<int64_t> attempts_started{0};
  std::atomic<int64_t> attempts_adopted{0};
  std::atomic<int64_t> attempts_succeeded{0};  // by outcome; diverged among them
  std::atomic<int64_t> attempts_failed{0};
  std::atomic<int64_t> attempts_stopped{0};
  std::atomic<int64_t> attempts_fenced{0};
};

}  // namespace strata::agent
