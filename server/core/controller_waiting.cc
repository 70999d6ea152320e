// Why a job waits, as a sentence to a person.
#include "absl/strings/str_cat.h"
#include "server/core/controller.h"

namespace strata::core {
namespace {

std::string Plural(int64_t count, const char* thing) { return absl::StrCat(count, " ", thing, count == 1 ? "" : "s"); }

struct Room {
  int32_t workers = 0, slots = 0, free = 0;
  int32_t cordoned = 0;  // slots of workers that take no more
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
  if (job.held) return absl::StrCat("Is held. strata release ", job.name, " lets it begin.");
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
  if (room.workers == 0 && room.cordoned == 0) return "No worker is connected. Start one with strata-agent.";
  const int32_t least = LeastRanks(job);
  const std::string needs = absl::StrCat(least < job.ranks ? "at least " : "", Plural(least, "slot"));
  if (least > room.slots) {
    if (least <= room.slots + room.cordoned) {
      return absl::StrCat("Needs ", needs, "; the workers that take jobs have ", room.slots, " in all, ", room.cordoned,
                          " more ", room.cordoned == 1 ? "is" : "are",
                          " cordoned. Uncordon a worker (strata workers uncordon), or connect more.");
    }
    return absl::StrCat("Infeasible now: needs ", needs, "; the workers that are connected have ",
                        room.slots + room.cordoned, " in all. Connect more workers, or ask for fewer ranks.");
  }
  std::string reason = absl::StrCat("Waits for ", needs, "; ", room.free, " of ", room.slots, " free");
  if (position > 1) absl::StrAppend(&reason, ", ", Plural(position - 1, "job"), " ahead");
  if (gang != nullptr && room.free >= least) {
    absl::StrAppend(&reason, "; the free ones are kept for ", gang->name, ", which needs ", LeastRanks(*gang),
                    gang->priority > job.priority ? " and has a higher priority" : " and came first");
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
  Room room = RoomOf(WorkersView(now));
  for (const auto& [worker_name, worker] : state_.workers) {
    if (worker.state == WorkerState::kReady && worker.cordoned)
      room.cordoned += static_cast<int32_t>(worker.slots.size());
  }
  const Job* gang = nullptr;  // the first one ahead that the cluster could hold
  waiting.position = 1;
  for (const auto& [priority, order, ahead_name] : queue_) {
    if (ahead_name == name) break;
    const Job& ahead = state_.jobs.at(ahead_name);
    if (!Eligible({.job = &ahead, .upstream = upstream_of(ahead)}, now)) continue;
    ++waiting.position;
    if (gang == nullptr && LeastRanks(ahead) <= room.slots) gang = &ahead;
  }
  waiting.reason = WhyNotPlaced(job, room, waiting.position, gang);
  return waiting;
}

absl::Status Controller::CheckFeasible(const Job& job) const {
  if (job.ranks <= 1) return absl::OkStatus();
  int32_t workers = 0, slots = 0;
  for (const auto& [name, worker] : state_.workers) {
    if (worker.state != WorkerState::kReady || worker.draining) continue;
    ++workers;
    slots += static_cast<int32_t>(worker.slots.size());
  }
  const int32_t least = LeastRanks(job);
  if (workers == 0 || least <= slots) return absl::OkStatus();
  const std::string have =
      absl::StrCat("; the ", workers == 1 ? "worker that is" : Plural(workers, "worker") + " that are", " connected ",
                   workers == 1 ? "has " : "have ", Plural(slots, "slot"), " in all. ");
  if (job.kind == JobKind::kEvaluate) {
    return absl::FailedPreconditionError(
        absl::StrCat("INFEASIBLE: evaluate.ranks is ", job.ranks, have, "Lower evaluate.ranks, or start workers."));
  }
  if (job.min_ranks < 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("INFEASIBLE: resources.ranks is ", job.ranks, have,
                     "Lower resources.ranks, set resources.min_ranks, or start workers."));
  }
  return absl::FailedPreconditionError(absl::StrCat(
      "INFEASIBLE: resources.min_ranks is ", job.min_ranks, ", and the fewest ranks from there on that divide ",
      "the global batch of ", job.global_batch, " are ", least, have, "Lower resources.min_ranks, or start workers."));
}

}  // namespace strata::core
