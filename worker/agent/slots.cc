#include "worker/agent/slots.h"

#include <sched.h>

#include <algorithm>
#include <memory>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace strata::agent {

absl::StatusOr<std::vector<int>> ParseCores(std::string_view text) {
  const std::string value(text);
  const auto bad = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("--cores: \"", value, "\" names no cores. Write numbers and ranges, as 0-3,8."));
  };
  std::set<int> cores;
  for (absl::string_view part : absl::StrSplit(value, ',')) {
    const std::vector<absl::string_view> ends = absl::StrSplit(part, '-');
    int first = 0, last = 0;
    if (ends.size() > 2 || !absl::SimpleAtoi(ends[0], &first) || !absl::SimpleAtoi(ends.back(), &last)) return bad();
    if (first < 0 || last < first || last >= CPU_SETSIZE) return bad();
    for (int core = first; core <= last; ++core) cores.insert(core);
  }
  return std::vector<int>(cores.begin(), cores.end());
}

std::string FormatCores(const std::vector<int>& cores) {
  std::string text;
  for (size_t i = 0; i < cores.size();) {
    size_t j = i;
    while (j + 1 < cores.size() && cores[j + 1] == cores[j] + 1) ++j;
    absl::StrAppend(&text, text.empty() ? "" : ",", cores[i]);
    if (j > i) absl::StrAppend(&text, "-", cores[j]);
    i = j + 1;
  }
  return text;
}

std::vector<int> AllowedCores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  return cores;
}

std::vector<Slot> ShareOut(const std::vector<int>& cores, int count) {
  std::vector<Slot> slots;
  const int total = static_cast<int>(cores.size());
  for (int i = 0; i < count; ++i) {
    Slot slot{.index = i, .device = "cpu"};
    if (count <= total) {
      slot.cores.assign(cores.begin() + i * total / count, cores.begin() + (i + 1) * total / count);
    } else if (total > 0) {
      slot.cores = {cores[static_cast<size_t>(i % total)]};
    }
    slots.push_back(std::move(slot));
  }
  return slots;
}

}  // namespace strata::agent
