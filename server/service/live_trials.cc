#include "server/service/live_trials.h"

#include <algorithm>

namespace strata::service {
namespace {

void Apply(LiveJob& live, const TrainerEvent& event, absl::Time now) {
  switch (event.type) {
    case EventType::kStarted:
      live.updates_done = event.resumed_from.value_or(0);
      live.checkpoint_written = event.resumed_from.value_or(-1);
      live.progress_time = now;
      break;
    case EventType::kProgress:
      live.updates_done = event.update;
      live.seconds_per_update = event.seconds_per_update;
      live.tokens_per_second = event.tokens_per_second;
      live.phase = event.phase;
      live.progress_time = now;
      break;
    case EventType::kMeasurements:
      live.updates_done = std::max(live.updates_done, event.update);
      for (const auto& point : event.scalars) {
        if (point.series == "train_loss") live.loss = point.value;
        if (point.series == "learning_rate") live.learning_rate = point.value;
        if (point.series == "valid_nll") live.valid_nll = point.value;
      }
      for (const auto& point : event.vectors) {
        if (point.series == "gradient_norm_output") live.gradient_norms[point.stack] = point.values;
      }
      break;
    case EventType::kCheckpoint:
      if (event.kind == "resumable") live.checkpoint_written = std::max(live.checkpoint_written, event.update);
      break;
    case EventType::kVerdict:
      live.diverged = true;
      break;
    default:
      break;
  }
}

}  // namespace

void LiveTrials::Apply(const std::string& job, bool training, int32_t updates, const std::vector<TrainerEvent>& events,
                       absl::Time now) {
  base::MutexLock lock(mutex_);
  const auto [found, is_new] = jobs_.try_emplace(job);
  LiveJob& live = found->second;
  if (is_new) live.progress_time = now;
  live.job = job;
  live.training = training;
  live.updates = updates;
  for (const TrainerEvent& event : events) {
    // Only a new attempt: events that were stored just before the job ended may come here just after it.
    if (event.type == EventType::kStarted) live.ended = absl::InfiniteFuture();
    service::Apply(live, event, now);
  }
}

void LiveTrials::End(const std::string& job, absl::Time now) {
  base::MutexLock lock(mutex_);
  std::erase_if(jobs_, [&](const auto& entry) { return now - entry.second.ended > kKept; });
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return;
  found->second.ended = std::min(found->second.ended, now);
  found->second.phase.clear();
}

std::optional<LiveJob> LiveTrials::Find(const std::string& job) const {
  base::MutexLock lock(mutex_);
  const auto found = jobs_.find(job);
  if (found == jobs_.end()) return std::nullopt;
  return found->second;
}

std::vector<LiveJob> LiveTrials::All(absl::Time now) {
  base::MutexLock lock(mutex_);
  std::vector<LiveJob> all;
  for (auto at = jobs_.begin(); at != jobs_.end();) {
    if (now - at->second.ended > kKept) {
      at = jobs_.erase(at);
    } else {
      all.push_back((at++)->second);
    }
  }
  return all;
}

}  // namespace strata::service
