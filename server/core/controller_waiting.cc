// Why a job waits, as a sentence to a person.
#include "absl/strings/str_cat.h"
#include "server/core/controller.h"

namespace strata::core {
namespace {

std::string Plural(int64_t count, const char* thing) { return absl::StrCat(count, " ", thing, count == 1 ? "" : "s"); }

struct Room {
  int32_t workers = 0, slots = 0, free = 0;
};

Room RoomOf(const Snapshot& view) {
  Room room;
  for (const WorkerRoom& worker : view.workers) {
    ++room.workers;
    room.slots += worker.slots;
    room.free += static_cast<int32_t>(worker.free.size());
  }
  return room;
}

std::string WhyNotEligible(const Job& job, const Job* upstream, absl::Time now) {
  if (!job.upstream.empty() && upstream == nullptr)
    return absl::StrCat("Waits for ", job.upstream, ", which is not known.");
  if (upstream != nullptr && !Satisfies(*upstream, job)) {
    return absl::StrCat("Waits for ", upstream->name, ", which is ", Name(upstream->state), ".");
  }
  const std::string wait = absl::FormatDuration(absl::Ceil(job.not_before - now, absl::Seconds(1)));
  if (job.failures == 0) return absl::StrCat("Goes on in ", wait, ". ", job.message);
  return absl::StrCat("Is tried again in ", wait, ", after failure ", job.failures, " of at most ", job.max_attempts,
                      " (", job.cause, ").");
}

std::string WhyNotPlaced(const Job& job, const Room& room, int32_t position, const Job* gang) {
  if (room.workers == 0) return "No worker is connected. Start one with strata-agent.";
  if (job.ranks > room.slots) {
    return absl::StrCat("Needs ", Plural(job.ranks, "slot"), "; the workers that are connected have ", room.slots,
                        " in all. Connect more workers, or ask for fewer ranks.");
  }
  std::string reason =
      absl::StrCat("Waits for ", Plural(job.ranks, "slot"), "; ", room.free, " of ", room.slots, " free");
  if (position > 1) absl::StrAppend(&reason, ", ", Plural(position - 1, "job"), " ahead");
  if (gang != nullptr && room.free >= job.ranks) {
    absl::StrAppend(&reason, "; the free ones are kept for ", gang->name, ", which needs ", gang->ranks,
                    " and came first");
  }
  return reason + ".";
}

}  // namespace

Controller::Waiting Controller::WhyWaiting(const std::string& name, absl::Time now) const {
  Waiting waiting;
  const auto found = state_.jobs.find(name);
  if (found == state_.jobs.end() || found->second.state != JobState::kQueued) return waiting;
  const Job& job = found->second;
  const auto upstream_of = [&](const Job& of) -> const Job* {
    const auto at = state_.jobs.find(of.upstream);
    return at == state_.jobs.end() ? nullptr : &at->second;
  };
  if (!Eligible({.job = &job, .upstream = upstream_of(job)}, now)) {
    waiting.reason = WhyNotEligible(job, upstream_of(job), now);
    return waiting;
  }
  const Room room = RoomOf(WorkersView(now));
  const Job* gang = nullptr;  // the first one ahead that the cluster could hold
  waiting.position = 1;
  for (const auto& [order, ahead_name] : queue_) {
    if (ahead_name == name) break;
    const Job& ahead = state_.jobs.at(ahead_name);
    if (!Eligible({.job = &ahead, .upstream = upstream_of(ahead)}, now)) continue;
    ++waiting.position;
    if (gang == nullptr && ahead.ranks <= room.slots) gang = &ahead;
  }
  waiting.reason = WhyNotPlaced(job, room, waiting.position, gang);
  return waiting;
}

}  // namespace strata::core
