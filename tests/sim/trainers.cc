#include "tests/sim/trainers.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace strata::sim {

using Kind = SpoolEvent::Kind;

std::shared_ptr<Rank> Trainers::Start(const std::string& machine, const core::RankPlace& place,
                                      const Assignment& assignment) {
  const AttemptKey key{assignment.base.job, assignment.base.attempt};
  Gang& gang = gangs_[key];
  gang.facts = assignment.facts;
  gang.world_size = assignment.base.world_size;
  gang.resumed_from = assignment.resume_from;
  gang.update = std::max(0, assignment.resume_from);
  if (gang.ranks.contains(place.rank)) {
    throw Violation(absl::StrCat(key.first, " attempt ", key.second, " rank ", place.rank, " is started twice"));
  }
  auto& slot = slots_[{machine, place.slot}];
  if (const auto other = slot.lock(); other != nullptr && other->alive) {
    throw Violation(absl::StrCat("two processes on ", machine, ":", place.slot));
  }
  auto rank = std::make_shared<Rank>(Rank{.machine = machine, .slot = place.slot, .alive = true});
  slot = rank;
  gang.ranks[place.rank] = rank;
  trace_(absl::StrCat("    ", machine, " starts ", key.first, " attempt ", key.second, " rank ", place.rank));
  loop_.After(random_.Between(absl::Milliseconds(100), absl::Milliseconds(900)),
              [this, key, number = place.rank] { Up(key, number); });
  return rank;
}

void Trainers::Up(const AttemptKey& key, int32_t number) {
  Gang& gang = gangs_.at(key);
  const std::shared_ptr<Rank>& rank = gang.ranks.at(number);
  if (!rank->alive) return;
  rank->spool.push_back({.kind = Kind::kStarted, .update = gang.resumed_from});
  if (number > 0) return;
  if (gang.world_size > 1)
    rank->spool.push_back({.kind = Kind::kRendezvous, .text = absl::StrCat(rank->machine, ":", 40000 + rank->slot)});
  Step(key);
}

void Trainers::Rendezvous(const AttemptKey& key) {
  if (const auto gang = gangs_.find(key); gang != gangs_.end()) gang->second.rendezvous = true;
}

bool Trainers::Together(const Gang& gang) {
  if (static_cast<int32_t>(gang.ranks.size()) != gang.world_size) return false;
  if (gang.world_size > 1 && !gang.rendezvous) return false;
  return std::all_of(gang.ranks.begin(), gang.ranks.end(),
                     [](const auto& entry) { return entry.second->alive && !entry.second->spool.empty(); });
}

// Rank 0 keeps the beat. A rank whose peer is gone notices after a while, and ends.
void Trainers::Step(const AttemptKey& key) {
  Gang& gang = gangs_.at(key);
  bool any = false, all = true;
  for (const auto& [number, rank] : gang.ranks) {
    any |= rank->alive;
    all &= rank->alive;
  }
  if (!any) return;
  absl::Duration next = random_.Between(absl::Milliseconds(40), absl::Milliseconds(160));
  if (!all && gang.lost) {
    EndAll(gang, {.kind = Kind::kEnded, .text = "failed", .cause = "rank_lost"});
  } else if (!all) {
    gang.lost = true;
    next = random_.Between(absl::Seconds(1), absl::Seconds(3));
  } else if (Together(gang)) {
    Update(gang);
  }
  loop_.After(next, [this, key] { Step(key); });
}

void Trainers::Update(Gang& gang) {
  const Facts& facts = gang.facts;
  std::vector<SpoolEvent>& spool = gang.ranks.at(0)->spool;
  if (gang.stopping) {
    if (gang.update > 0) spool.push_back({.kind = Kind::kCheckpoint, .update = gang.update});
    return EndAll(gang, {.kind = Kind::kEnded, .text = "stopped"});
  }
  if (gang.update >= facts.updates ||
      (facts.diverges_at >= 0 && !facts.trains_on && gang.update >= facts.diverges_at)) {
    const bool diverged = facts.diverges_at >= 0;
    return EndAll(
        gang,
        {.kind = Kind::kEnded, .text = diverged ? "diverged" : "succeeded", .to_end = !diverged || facts.trains_on});
  }
  ++gang.update;
  if (gang.update == facts.out_of_memory_at) {  // one rank says so; the others see that it has gone, soon or at once
    End(gang.ranks.at(gang.update % gang.world_size),
        {.kind = Kind::kEnded, .text = "failed", .cause = "out_of_memory"});
    if (random_.Chance(500)) EndAll(gang, {.kind = Kind::kEnded, .text = "failed", .cause = "rank_lost"});
    return;
  }
  spool.push_back({.kind = Kind::kMeasured, .update = gang.update});
  if (gang.update % 5 == 0) spool.push_back({.kind = Kind::kCheckpoint, .update = gang.update});
}

void Trainers::End(const std::shared_ptr<Rank>& rank, const SpoolEvent& event) {
  if (rank->alive) rank->spool.push_back(event);
  rank->alive = false;
}

void Trainers::EndAll(Gang& gang, const SpoolEvent& event) {
  for (const auto& [number, rank] : gang.ranks) End(rank, event);
}

void Trainers::Terminate(const AttemptKey& key, const std::shared_ptr<Rank>& rank) {
  Gang& gang = gangs_.at(key);
  if (gang.world_size > 1 && Together(gang)) {
    gang.stopping = true;
    return;
  }
  if (const auto first = gang.ranks.find(0);
      rank->alive && first != gang.ranks.end() && rank == first->second && gang.update > 0) {
    rank->spool.push_back({.kind = Kind::kCheckpoint, .update = gang.update});
  }
  End(rank, {.kind = Kind::kEnded, .text = "stopped"});
}

void Trainers::Kill(const std::shared_ptr<Rank>& rank) { rank->alive = false; }

bool Trainers::KillAny(uint64_t choice) {
  std::vector<std::shared_ptr<Rank>> alive;
  for (const auto& [slot, rank] : slots_) {
    if (const auto here = rank.lock(); here != nullptr && here->alive) alive.push_back(here);
  }
  if (alive.empty()) return false;
  alive[choice % alive.size()]->alive = false;
  return true;
}

}  // namespace strata::sim
