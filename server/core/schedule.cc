#include "server/core/schedule.h"

#include <algorithm>
#include <set>
#include <utility>

namespace strata::core {
namespace {

// Workers by how many slots they have free.
class Rooms {
 public:
  explicit Rooms(const std::vector<WorkerRoom>& workers) : workers_(workers), taken_(workers.size(), 0) {
    for (size_t i = 0; i < workers.size(); ++i) {
      slots_ += workers[i].slots;
      free_ += static_cast<int32_t>(workers[i].free.size());
      if (!workers[i].free.empty()) by_room_.insert({Room(i), i});
    }
  }

  int32_t slots() const { return slots_; }
  int32_t free() const { return free_; }

  // Takes `ranks` slots, of which there must be enough: from one worker if one has them, the tightest that does,
  // else from the roomiest on, with the rest again on the tightest that holds it.
  std::vector<RankPlace> Take(int32_t ranks, const std::string& avoid) {
    std::vector<RankPlace> places;
    while (static_cast<int32_t>(places.size()) < ranks) {
      const int32_t rest = ranks - static_cast<int32_t>(places.size());
      auto at = by_room_.lower_bound({rest, 0});
      if (at != by_room_.end() && workers_[at->second].name == avoid && std::next(at) != by_room_.end()) ++at;
      if (at == by_room_.end()) at = by_room_.lower_bound({by_room_.rbegin()->first, 0});
      TakeFrom(at->second, std::min(rest, at->first), &places);
    }
    return places;
  }

 private:
  int32_t Room(size_t worker) const { return static_cast<int32_t>(workers_[worker].free.size()) - taken_[worker]; }

  void TakeFrom(size_t worker, int32_t count, std::vector<RankPlace>* places) {
    by_room_.erase({Room(worker), worker});
    for (int32_t i = 0; i < count; ++i) {
      places->push_back({.rank = static_cast<int32_t>(places->size()),
                         .worker = workers_[worker].name,
                         .slot = workers_[worker].free[taken_[worker]++]});
    }
    free_ -= count;
    if (Room(worker) > 0) by_room_.insert({Room(worker), worker});
  }

  const std::vector<WorkerRoom>& workers_;
  std::vector<int32_t> taken_;
  std::set<std::pair<int32_t, size_t>> by_room_;
  int32_t slots_ = 0;
  int32_t free_ = 0;
};

}  // namespace

bool ValidRanks(const Job& job, int32_t ranks) {
  if (ranks == job.ranks) return true;
  return job.min_ranks > 0 && job.min_ranks <= ranks && ranks < job.ranks && job.global_batch % ranks == 0;
}

int32_t LeastRanks(const Job& job) {
  if (job.min_ranks < 1) return job.ranks;
  for (int32_t ranks = job.min_ranks; ranks < job.ranks; ++ranks) {
    if (ValidRanks(job, ranks)) return ranks;
  }
  return job.ranks;
}

int32_t MostRanks(const Job& job, int32_t room) {
  if (job.ranks <= room) return job.ranks;
  if (job.min_ranks < 1) return 0;
  for (int32_t ranks = room; ranks >= job.min_ranks; --ranks) {
    if (ValidRanks(job, ranks)) return ranks;
  }
  return 0;
}

bool Satisfies(const Job& upstream, const Job& job) {
  return upstream.state == JobState::kSucceeded || (upstream.state == JobState::kDiverged && job.accepts_diverged);
}

bool Eligible(const QueuedJob& queued, absl::Time now) {
  const Job& job = *queued.job;
  if (job.state != JobState::kQueued || job.held || job.not_before > now) return false;
  if (job.upstream.empty()) return true;
  return queued.upstream != nullptr && Satisfies(*queued.upstream, job);
}

Plan Schedule(const Snapshot& snapshot, absl::Time now) {
  Plan plan;
  Rooms rooms(snapshot.workers);
  for (const QueuedJob& queued : snapshot.queue) {
    if (rooms.free() == 0) break;
    if (!Eligible(queued, now)) continue;
    if (LeastRanks(*queued.job) > rooms.slots()) continue;
    const int32_t ranks = MostRanks(*queued.job, rooms.free());
    if (ranks == 0) break;
    plan.placements.push_back({queued.job->name, rooms.Take(ranks, queued.avoid)});
  }
  return plan;
}

}  // namespace strata::core
