// The part of Attempt that looks at how its trainers end, says so, and cleans up.
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "worker/agent/attempt.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

using Steady = std::chrono::steady_clock;

constexpr auto kTellTime = std::chrono::seconds(5);
constexpr absl::Duration kTroubleTime = absl::Minutes(5);  // what a GPU told longer before the end is no cause of it

bool DiskFull(const std::string& path) {
  struct statvfs info;
  return ::statvfs(path.c_str(), &info) == 0 && info.f_bavail * info.f_frsize < (64 << 10);
}

// What a trainer's collectives file says (docs/DATA_PARALLEL.md); sequence 0 where it has written none.
RankPosition ReadPosition(const std::string& path, int32_t rank) {
  constexpr size_t kSequence = sizeof(uint64_t), kBytes = kSequence + 120;
  RankPosition position{.rank = rank};
  const std::string bytes = ReadProc(path);
  if (bytes.size() < kBytes) return position;
  uint64_t sequence = 0;  // little-endian, as the machine is
  std::memcpy(&sequence, bytes.data(), kSequence);
  position.sequence = static_cast<int64_t>(sequence);
  const std::string name = bytes.substr(kSequence, kBytes - kSequence);
  position.name = ValidUtf8(name.substr(0, name.find('\0')));
  return position;
}

}  // namespace

int64_t Attempt::KernelOomKills() {
  for (absl::string_view line : absl::StrSplit(ReadProc("/proc/self/cgroup"), '\n')) {
    if (!absl::StartsWith(line, "0::")) continue;
    const std::string events = ReadProc(absl::StrCat("/sys/fs/cgroup", line.substr(3), "/memory.events"));
    for (absl::string_view entry : absl::StrSplit(events, '\n')) {
      int64_t count = 0;
      if (absl::ConsumePrefix(&entry, "oom_kill ") && absl::SimpleAtoi(entry, &count)) return count;
    }
  }
  return 0;
}

void Attempt::LookForFailures() {
  for (size_t i = 0; i < record_.ranks.size(); ++i) {
    if (!record_.ranks[i].ended || ranks_[i].judged) continue;
    ranks_[i].judged = true;
    const RankEnd end = EndOf(i);
    const auto failure = FailureOf(end);
    if (!failure) continue;
    const bool own = IsOwnFailure(end, *failure, life_.ending());
    const bool first = first_failed_ < 0 && !life_.ending();
    if (!first && (!own || failed_itself_)) continue;
    first_failed_ = ranks_[i].rank;
    failed_itself_ = own;
  }
}

bool Attempt::LookForStall(absl::Duration elapsed) {
  for (Rank& rank : ranks_) {
    for (const double pace : rank.spool->TakePaces()) stall_.Pace(pace);
    if (rank.spool->past_start()) stall_.Begun();
  }
  if (life_.phase() != Phase::kRunning) return false;
  int64_t told = 0;
  for (const Rank& rank : ranks_) told += std::max<int64_t>(0, base::FileSize(rank.spool->path()));
  stall_.Step(told, elapsed);
  if (!stall_.stalled() || first_failed_ >= 0) return false;
  if (!stalled_.empty()) return true;
  std::vector<std::string> suspended;
  for (const RankRecord& rank : record_.ranks) {
    if (!rank.ended && IsSuspended(rank.process))
      suspended.push_back(absl::StrCat("Rank ", rank.rank, " is suspended."));
  }
  stalled_ =
      absl::StrCat("No update or batch has ended ", stall_.Explain(), ", so the ranks on this worker were killed.",
                   suspended.empty() ? "" : " ", absl::StrJoin(suspended, " "));
  return true;
}

// Pages of its own that are in memory: mapped shards are the page cache's, and CUDA's reservations hold nothing.
bool Attempt::LookAtMemory() {
  const int64_t limit = context_.memory_per_slot;
  const Phase phase = life_.phase();
  if (limit <= 0 || (phase != Phase::kRunning && phase != Phase::kStopping)) return false;
  for (const RankRecord& rank : record_.ranks) {
    if (rank.ended || !too_much_memory_.empty()) continue;
    const int64_t held = AnonymousMemory(rank.process);
    if (held <= limit) continue;
    too_much_memory_ =
        absl::StrCat("Rank ", rank.rank, " held ", held >> 20, " MiB of memory; --memory-per-slot of this ",
                     "worker allows ", limit >> 20, " MiB, so it was ended. Make train.max_tokens or the ",
                     "model smaller, or raise --memory-per-slot.");
  }
  return !too_much_memory_.empty();
}

void Attempt::NoteSuspended() {
  for (const RankRecord& rank : record_.ranks) {
    if (rank.process.pid != 0 && !rank.ended && IsSuspended(rank.process)) suspended_.insert(rank.rank);
  }
}

std::vector<RankPosition> Attempt::Positions() const {
  std::vector<RankPosition> positions;
  if (record_.assignment.world_size < 2) return positions;
  for (const RankRecord& rank : record_.ranks) {
    positions.push_back(ReadPosition(context_.state.CollectivesPath(id_, rank.rank), rank.rank));
    base::MutexLock lock(mutex_);
    if (suspended_.contains(rank.rank)) positions.back().name += ", suspended";
  }
  return positions;
}

RankEnd Attempt::EndOf(size_t index) {
  const RankRecord& rank = record_.ranks[index];
  RankEnd end{.rank = rank.rank, .last_word = ranks_[index].spool->last_word(), .exit = rank.exit};
  end.log_tail = ValidUtf8(LastLines(context_.state.LogPath(id_, rank.rank), 20, 4096));
  end.kernel_out_of_memory = rank.exit.signal == SIGKILL && !life_.killed() && KernelOomKills() > oom_kills_before_;
  end.disk_full = DiskFull(context_.state.path());
  return end;
}

Completion Attempt::Verdict() {
  if (failure_) return {"failed", failure_->cause, failure_->message};
  if (!broken_.empty()) return {"failed", "internal", broken_};
  if (!too_much_memory_.empty()) return {"failed", "out_of_memory", too_much_memory_};
  if (!stalled_.empty()) return {"failed", "stalled", stalled_};
  std::vector<RankEnd> ends;
  for (size_t i = 0; i < record_.ranks.size(); ++i) ends.push_back(EndOf(i));
  Completion verdict = Judge(ends, wish(), life_.killed(), first_failed_);
  const bool good = verdict.outcome == "succeeded" || verdict.outcome == "diverged";
  if (good && uploader_ && !uploader_->failure().ok()) {
    return {"failed", "checkpoint_corrupt", std::string(uploader_->failure().message())};
  }
  return verdict;
}

// The coordinator has ended the attempt, because of a peer as a rule; a cause of our own may be the true one.
Completion Attempt::FencedVerdict() {
  if (failure_) return {"failed", failure_->cause, failure_->message};
  if (!too_much_memory_.empty()) return {"failed", "out_of_memory", too_much_memory_};
  if (!stalled_.empty()) return {"failed", "stalled", stalled_};
  std::set<int32_t> dead_before;
  {
    base::MutexLock lock(mutex_);
    dead_before = dead_before_;
  }
  for (size_t i = 0; i < record_.ranks.size(); ++i) {
    (void)ranks_[i].spool->Read();
    const RankEnd end = EndOf(i);
    const auto failure = FailureOf(end);
    if (!failure) continue;
    const bool before = dead_before.contains(end.rank) && !life_.ending();
    const bool own = ranks_[i].judged ? failed_itself_ && first_failed_ == end.rank
                                      : IsOwnFailure(end, *failure, /*ending=*/!before);
    if (own) return *failure;
  }
  return {"failed", "rank_lost", "Ended because the attempt had ended elsewhere."};
}

Completion Attempt::Explained(Completion completion) const {
  completion.positions = Positions();
  if (completion.outcome != "failed" || !context_.gpu_trouble) return completion;
  const absl::Time since = std::max(assigned_, absl::Now() - kTroubleTime);
  for (const RankSlot& place : record_.assignment.ranks) {
    const auto slot = static_cast<size_t>(place.slot);
    if (place.slot < 0 || slot >= context_.slots.size() || context_.slots[slot].uuid.empty()) continue;
    const std::string trouble = context_.gpu_trouble(context_.slots[slot].uuid, since);
    if (trouble.empty()) continue;
    // Before the message: the last lines of a log may end it.
    completion.message =
        absl::StrCat("Rank ", place.rank, ": ", trouble, completion.message.empty() ? "" : " ", completion.message);
  }
  return completion;
}

void Attempt::TellEnd() {
  if (!tell_until_) {
    tell_until_ = Steady::now() + kTellTime;
    completion_ = Explained(FencedVerdict());
  }
  if (Steady::now() < retry_at_) return;
  const absl::Status status = context_.coordinator.CompleteAttempt(id_, *completion_);
  const Trouble trouble = Classify(status);
  const bool passing = trouble == Trouble::kPassing || trouble == Trouble::kStaleSession;
  told_ = !passing || Steady::now() >= *tell_until_;
  if (!told_) NoteTrouble(status);
}

void Attempt::Complete() {
  if (!completion_) {
    completion_ = Explained(Verdict());
  }
  if (Steady::now() < retry_at_) return;
  const absl::Status status = context_.coordinator.CompleteAttempt(id_, *completion_);
  if (!status.ok()) return NoteTrouble(status);
  completion_accepted_ = true;
  spdlog::info("{}#{}: {}{}{}", id_.job, id_.attempt, completion_->outcome, completion_->cause.empty() ? "" : ", ",
               completion_->cause);
}

void Attempt::CleanUp() {
  Stats& stats = context_.stats;
  for (Rank& rank : ranks_) {
    stats.spool_lag_events -= rank.told_spooled;
    rank.told_spooled = 0;
  }
  uploader_.reset();
  if (!completion_accepted_) {
    ++stats.attempts_fenced;
    spdlog::warn("{}#{}: not assigned any more; its processes are ended", id_.job, id_.attempt);
  } else if (completion_->outcome == "failed") {
    ++stats.attempts_failed;
    if (completion_->cause == "data_error") context_.datasets.Suspect(record_.assignment.dataset_digest);
  } else if (completion_->outcome == "stopped") {
    ++stats.attempts_stopped;
  } else {
    ++stats.attempts_succeeded;
    for (const auto& [name, file] : weights_) {
      KeepWeights(context_.state, absl::StrCat(prepared_.out_folder, "/checkpoints/", file.file_name), file.sha256);
    }
    if (record_.assignment.kind == JobKind::kTrain) RemoveTree(context_.state.JobFolder(id_.job));
  }
  context_.state.Remove(id_);
}

}  // namespace strata::agent
