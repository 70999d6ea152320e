// Why a job waits, as a sentence to a person.
#include "absl/strings/str_cat.h"
#include "server/core/controller.h"

namespace strata::core {
namespace {

std::string Plural(int64_t count, const char* thing) { return absl::StrCat(count, " ", thing, count == 1 ? "" : "s"); }

bool Mixed(const Room& slots) { return slots.gpu > 0 && slots.cpu > 0; }

// "3", or "2 GPUs and 4 CPU slots" in a cluster that has both.
std::string Count(const Room& slots, const Room& of) {
  if (!Mixed(of)) return absl::StrCat(slots.sum());
  return absl::StrCat(Plural(slots.gpu, "GPU"), " and ", Plural(slots.cpu, "CPU slot"));
}

std::string InAll(const Room& slots) {
  if (!Mixed(slots)) return Plural(slots.sum(), "slot") + " in all. ";
  return Count(slots, slots) + ", and the ranks of an attempt are all on one kind. ";
}

Room SlotsOf(const Worker& worker) {
  Room room;
  for (const Slot& slot : worker.slots) ++room.of(slot.gpu());
  return room;
}

void Add(const Room& more, Room* room) {
  room->cpu += more.cpu;
  room->gpu += more.gpu;
}

struct Cluster {
  size_t workers = 0;
  Room slots, free;
  Room with_cordoned;  // and those of workers that take no more
};

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

std::string WhyNotPlaced(const Job& job, const Cluster& cluster, int32_t position, const Job* gang) {
  const Room &slots = cluster.slots, &all = cluster.with_cordoned;
  if (cluster.workers == 0 && all.sum() == 0) return "No worker is connected. Start one with strata-agent.";
  const int32_t least = LeastRanks(job);
  const std::string needs = absl::StrCat(least < job.ranks ? "at least " : "", Plural(least, "slot"));
  if (least > slots.most()) {
    if (least <= all.most()) {
      const int32_t cordoned = all.sum() - slots.sum();
      return absl::StrCat("Needs ", needs, "; the workers that take jobs have ", Count(slots, all), " in all, ",
                          cordoned, " more ", cordoned == 1 ? "is" : "are",
                          " cordoned. Uncordon a worker (strata workers uncordon), or connect more.");
    }
    return absl::StrCat("Infeasible now: needs ", needs, "; the workers that are connected have ", Count(all, all),
                        " in all. Connect more workers, or ask for fewer ranks.");
  }
  std::string reason =
      absl::StrCat("Waits for ", needs, "; ", Count(cluster.free, slots), " of ", Count(slots, slots), " free");
  if (position > 1) absl::StrAppend(&reason, ", ", Plural(position - 1, "job"), " ahead");
  if (gang != nullptr && cluster.free.most() >= least) {
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
  const Snapshot view = WorkersView(now);
  Cluster cluster{.workers = view.workers.size(), .slots = AllSlots(view), .free = FreeSlots(view)};
  cluster.with_cordoned = cluster.slots;
  for (const auto& [worker_name, worker] : state_.workers) {
    if (worker.state == WorkerState::kReady && worker.cordoned) Add(SlotsOf(worker), &cluster.with_cordoned);
  }
  const Job* gang = nullptr;  // the first one ahead that the cluster could hold
  waiting.position = 1;
  for (const auto& [priority, order, ahead_name] : queue_) {
    if (ahead_name == name) break;
    const Job& ahead = state_.jobs.at(ahead_name);
    if (!Eligible({.job = &ahead, .upstream = upstream_of(ahead)}, now)) continue;
    ++waiting.position;
    if (gang == nullptr && LeastRanks(ahead) <= cluster.slots.most()) gang = &ahead;
  }
  waiting.reason = WhyNotPlaced(job, cluster, waiting.position, gang);
  return waiting;
}

absl::Status Controller::CheckFeasible(const Job& job) const {
  if (job.ranks <= 1) return absl::OkStatus();
  int32_t workers = 0;
  Room slots;
  for (const auto& [name, worker] : state_.workers) {
    if (worker.state != WorkerState::kReady || worker.draining) continue;
    ++workers;
    Add(SlotsOf(worker), &slots);
  }
  const int32_t least = LeastRanks(job);
  if (workers == 0 || least <= slots.most()) return absl::OkStatus();
  const std::string have =
      absl::StrCat("; the ", workers == 1 ? "worker that is" : Plural(workers, "worker") + " that are", " connected ",
                   workers == 1 ? "has " : "have ", InAll(slots));
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
