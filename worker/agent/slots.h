// CPU slots: the cores that this process may use, shared out evenly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::agent {

struct Slot {
  int32_t index = 0;
  std::string device;        // "cpu", or the GPU's model
  std::vector<int> cores;    // pinned for it, ascending
  std::string uuid;          // of its GPU; empty: a share of cores only
  int64_t memory_bytes = 0;  // of its GPU
};

// Reads "0-3,8". INVALID_ARGUMENT, a sentence, for anything else.
absl::StatusOr<std::vector<int>> ParseCores(std::string_view text);
std::string FormatCores(const std::vector<int>& cores);  // "0-3,8"

// The cores that the affinity mask (hence the cgroup's cpuset) leaves to this process.
std::vector<int> AllowedCores();

// `count` slots over `cores`: neighbours together, sizes differing by one at most. count > cores: cores are shared in
// turn.
std::vector<Slot> ShareOut(const std::vector<int>& cores, int count);

}  // namespace strata::agent
