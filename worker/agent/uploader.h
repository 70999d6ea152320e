// Uploads one attempt's files in the background: hashed chunks, a few on their way at once, going on where an upload
// was cut off. Of resumable checkpoints and of best weights only the newest is of use: older ones that wait are
// dropped. Best weights go before each resumable checkpoint (a resume elsewhere needs both) and at the end; epochs'
// weights in the order in which they were made, before any resumable checkpoint that waits, so that none is
// acknowledged before the epochs before it.
#pragma once

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "server/base/mutex.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/stats.h"

namespace strata::agent {

struct LocalFile {
  ArtifactFile file;
  std::string path;
};

// Thread-safe.
class Uploader {
 public:
  Uploader(Coordinator& coordinator, AttemptId id, Stats& stats);
  ~Uploader();  // gives up what is under way

  void Offer(LocalFile file);
  // No more files come. `resumable_needed`: false if nothing will go on from a waiting checkpoint, so that it can be
  // dropped.
  void Finish(bool resumable_needed);
  // True once all that is needed has been acknowledged, or cannot be.
  bool Done() const;
  // A needed file could not be uploaded though the coordinator was there: says which and why. OK otherwise.
  absl::Status failure() const;
  // The coordinator has said stale_attempt.
  bool stale() const;
  void Stop();

 private:
  enum class Result { kDone, kSuperseded, kStale, kStopped, kFailed };

  void Run();
  bool TakeNext(LocalFile* next) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Result Send(const LocalFile& file);
  absl::Status SendOnce(const LocalFile& file, int fd);
  bool Pause();  // false: stopped
  bool stopping() const;

  Coordinator& coordinator_;
  const AttemptId id_;
  Stats& stats_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  std::vector<LocalFile> needed_ ABSL_GUARDED_BY(mutex_);     // final and epochs' weights, hypotheses
  std::vector<LocalFile> resumable_ ABSL_GUARDED_BY(mutex_);  // none or one
  std::vector<LocalFile> best_ ABSL_GUARDED_BY(mutex_);       // none or one
  bool finish_ ABSL_GUARDED_BY(mutex_) = false;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool stale_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace strata::agent
