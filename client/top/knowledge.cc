#include "client/top/knowledge.h"

#include <algorithm>

#include "client/format.h"

namespace strata::client::top {

void LogTail::Append(const std::string& text) {
  if (lines.empty()) lines.emplace_back();
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    lines.back().append(text, at, end == std::string::npos ? std::string::npos : end - at);
    if (end == std::string::npos) break;
    lines.emplace_back();
    at = end + 1;
  }
  if (lines.size() > kMostLines) {
    const size_t surplus = lines.size() - kMostLines;
    lines.erase(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(surplus));
    dropped += static_cast<int64_t>(surplus);
  }
}

const v1::Trial* Knowledge::Find(const std::string& trial) const {
  const auto found = std::find_if(trials.begin(), trials.end(), [&](const v1::Trial& t) { return t.name() == trial; });
  return found == trials.end() ? nullptr : &*found;
}

const v1::Job* MainJob(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    if (job.kind() != v1::JOB_KIND_EVALUATE) return &job;
  }
  return nullptr;
}

const v1::Job* JobInView(const v1::Trial& trial) {
  for (const v1::Job& job : trial.jobs()) {
    const bool live = job.state() == v1::JOB_STATE_RUNNING || job.state() == v1::JOB_STATE_PENDING;
    if (job.kind() == v1::JOB_KIND_EVALUATE && live) return &job;
  }
  if (const v1::Job* job = MainJob(trial); job != nullptr) return job;
  return trial.jobs_size() > 0 ? &trial.jobs(0) : nullptr;
}

}  // namespace strata::client::top
