#include "server/core/schedule.h"

#include <algorithm>
#include <set>
#include <utility>

namespace strata::core {
namespace {

// The workers' slots of one kind, by how many are free.
class Rooms {
 public:
  Rooms(const std::vector<WorkerRoom>& workers, bool gpu) : workers_(workers), taken_(workers.size(), 0) {
    for (size_t i = 0; i < workers.size(); ++i) {
      if (workers[i].gpu != gpu) continue;
      free_ += static_cast<int32_t>(workers[i].free.size());
      if (!workers[i].free.empty()) by_room_.insert({RoomOf(i), i});
    }
  }

  int32_t free() const { return free_; }

  // Takes `ranks` slots, of which there must be enough: from one worker if one has them, the tightest that does,
  // else from the roomiest on, with the rest again on the tightest that holds it. Not from `avoid` if it can be helped.
  std::vector<RankPlace> Take(int32_t ranks, const std::string& avoid) {
    const auto avoided = std::find_if(by_room_.begin(), by_room_.end(),
                                      [&](const auto& entry) { return workers_[entry.second].name == avoid; });
    std::vector<std::pair<int32_t, size_t>> set_aside;
    if (avoided != by_room_.end() && free_ - avoided->first >= ranks) {
      set_aside.push_back(*avoided);
      by_room_.erase(avoided);
    }
    std::vector<RankPlace> places;
    while (static_cast<int32_t>(places.size()) < ranks) {
      const int32_t rest = ranks - static_cast<int32_t>(places.size());
      auto at = by_room_.lower_bound({rest, 0});
      if (at == by_room_.end()) at = by_room_.lower_bound({by_room_.rbegin()->first, 0});
      TakeFrom(at->second, std::min(rest, at->first), &places);
    }
    by_room_.insert(set_aside.begin(), set_aside.end());
    return places;
  }

 private:
  int32_t RoomOf(size_t worker) const { return static_cast<int32_t>(workers_[worker].free.size()) - taken_[worker]; }

  void TakeFrom(size_t worker, int32_t count, std::vector<RankPlace>* places) {
    by_room_.erase({RoomOf(worker), worker});
    for (int32_t i = 0; i < count; ++i) {
      places->push_back({.rank = static_cast<int32_t>(places->size()),
                         .worker = workers_[worker].name,
                         .slot = workers_[worker].free[taken_[worker]++]});
    }
    free_ -= count;
    if (RoomOf(worker) > 0) by_room_.insert({RoomOf(worker), worker});
  }

  const std::vector<WorkerRoom>& workers_;
  std::vector<int32_t> taken_;
  std::set<std::pair<int32_t, size_t>> by_room_;
  int32_t free_ = 0;
};

}  // namespace

Room FreeSlots(const Snapshot& snapshot) {
  Room room;
  for (const WorkerRoom& worker : snapshot.workers) room.of(worker.gpu) += static_cast<int32_t>(worker.free.size());
  return room;
}

Room AllSlots(const Snapshot& snapshot) {
  Room room;
  for (const WorkerRoom& worker : snapshot.workers) room.of(worker.gpu) += worker.slots;
  return room;
}

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
  Rooms gpus(snapshot.workers, true), cpus(snapshot.workers, false);
  const int32_t slots = AllSlots(snapshot).most();
  for (const QueuedJob& queued : snapshot.queue) {
    if (gpus.free() + cpus.free() == 0) break;
    if (!Eligible(queued, now)) continue;
    if (LeastRanks(*queued.job) > slots) continue;
    Rooms& rooms = MostRanks(*queued.job, gpus.free()) > 0 ? gpus : cpus;
    const int32_t ranks = MostRanks(*queued.job, rooms.free());
    if (ranks == 0) break;
    plan.placements.push_back({queued.job->name, rooms.Take(ranks, queued.avoid)});
  }
  return plan;
}

}  // namespace strata::core
