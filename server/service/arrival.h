// One upload on its way in: a file that grows chunk by chunk, hashed and synced beside the chunks that follow. Where it
// stands is the file's length, so it goes on after any crash; what is hashed is known here only, and made anew from the
// file where it is not. What is on disk leaves the page cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/file.h"
#include "server/base/mutex.h"
#include "server/base/sha256.h"

namespace strata::service {

inline constexpr int64_t kLargestChunk = 4 << 20;
// Less than this of what was taken is not on disk yet.
inline constexpr int64_t kMostUnsynced = 20 << 20;

// Thread-safe: chunks may come at once and out of order. One Arrival a file at any time, but for those that are over().
class Arrival {
 public:
  // fdatasync, or what a test has in its place.
  using Sync = std::function<absl::Status(const base::FileDescriptor& file, const std::string& path)>;

  // `path` exists and shall have `bytes` bytes; what it has is taken for synced.
  Arrival(std::string path, int64_t bytes, Sync sync = base::SyncFile);
  ~Arrival();  // waits for the disk

  // Writes a chunk; once this returns OK it outlives a crash of this process. One that is ahead of where the file
  // stands waits up to a second for those before it, unless `given_up`. FailedPrecondition: it is not where the file
  // stands; says where. InvalidArgument: it ends beyond `bytes`. Other errors are the disk's: the file is cut back to
  // what is certain to be on it, and this is over.
  absl::Status Take(int64_t offset, std::string_view data, const std::function<bool()>& given_up);

  // SHA-256 of the file as it stands, all of it on disk. No Take may follow that changes it. Unavailable: hashing it is
  // not done at `deadline`; goes on with the next call. Other errors as of Take.
  absl::StatusOr<std::string> Finish(absl::Time deadline);

  // After an error of the disk: the file is begun with a new Arrival.
  bool over() const { return over_; }

 private:
  absl::Status AwaitTurn(int64_t offset, const std::function<bool()>& given_up) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Append(int64_t offset, std::string_view data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins to sync the first `until` bytes beside what follows, once those before are.
  absl::Status BeginSync(base::FileDescriptor file, int64_t until) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status EndSync() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Cuts the file back to what is synced. Returns `why`, or why that did not work.
  absl::Status CutBack(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Hashes the first `until` bytes, as far as there is time: the last of them are `data`, others are read from the
  // file.
  absl::Status Hash(int64_t until, std::string_view data, absl::Time deadline) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string path_;
  const int64_t bytes_;
  const Sync sync_;

  base::Mutex mutex_;
  base::CondVar moved_;                     // the file stands elsewhere
  std::atomic<bool> over_ = false;          // set under mutex_
  int64_t synced_ ABSL_GUARDED_BY(mutex_);  // bytes
  int64_t syncing_until_ ABSL_GUARDED_BY(mutex_) = 0;
  std::future<absl::Status> syncing_ ABSL_GUARDED_BY(mutex_);  // not valid: none
  std::string digest_ ABSL_GUARDED_BY(mutex_);                 // once it is finished

  base::Mutex hash_mutex_;  // taken without mutex_: a chunk is hashed while the next is written
  base::Sha256 hash_ ABSL_GUARDED_BY(hash_mutex_);
  int64_t hashed_ ABSL_GUARDED_BY(hash_mutex_) = 0;  // bytes
};

}  // namespace strata::service
