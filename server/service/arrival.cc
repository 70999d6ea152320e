#include "server/service/arrival.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace strata::service {
namespace {

// A sync is begun after so much, to the end of a chunk, and is over before the next begins.
constexpr int64_t kSyncEvery = 8 << 20;
static_assert(2 * kSyncEvery + kLargestChunk == kMostUnsynced);
// How far ahead of the file a chunk may wait, and how long: for chunks that are sent at once.
constexpr int64_t kFurthestAhead = 4 * kLargestChunk;
constexpr absl::Duration kPatience = absl::Seconds(1);
// After a restart the file is hashed again, with no chunk for longer than its caller waits.
constexpr absl::Duration kCatchUpWithChunk = absl::Seconds(2);

}  // namespace

Arrival::Arrival(std::string path, int64_t bytes, Sync sync)
    : path_(std::move(path)), bytes_(bytes), sync_(std::move(sync)), synced_(base::FileSize(path_)) {}

Arrival::~Arrival() = default;

absl::Status Arrival::Take(int64_t offset, std::string_view data, const std::function<bool()>& given_up) {
  const int64_t until = offset + static_cast<int64_t>(data.size());
  if (offset < 0 || until > bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("The chunk goes from ", offset, " to ", until, ", beyond the ", bytes_, " bytes announced."));
  }
  {
    base::MutexLock lock(mutex_);
    if (absl::Status status = AwaitTurn(offset, given_up); !status.ok()) return status;
    if (absl::Status status = Append(offset, data); !status.ok()) return CutBack(std::move(status));
    moved_.NotifyAll();
  }
  absl::Status status = Hash(until, data, absl::Now() + kCatchUpWithChunk);
  if (status.ok()) return status;
  base::MutexLock lock(mutex_);
  return CutBack(std::move(status));
}

absl::Status Arrival::AwaitTurn(int64_t offset, const std::function<bool()>& given_up) {
  const absl::Time deadline = absl::Now() + kPatience;
  for (bool waited = false;; waited = true) {
    const int64_t stands = base::FileSize(path_);
    const absl::Duration left = deadline - absl::Now();
    const bool wanted = !given_up();
    // One that came in its turn is kept though its sender has died since: the next one goes on behind it.
    if (!over_ && offset == stands && (wanted || !waited)) return absl::OkStatus();
    if (over_ || !wanted || offset < stands || offset - stands > kFurthestAhead || left <= absl::ZeroDuration()) {
      return absl::FailedPreconditionError(
          absl::StrCat("offset is ", offset, ", but the upload stands at ", stands, ". Go on from there."));
    }
    moved_.WaitFor(mutex_, absl::ToChronoNanoseconds(left));
  }
}

absl::Status Arrival::Append(int64_t offset, std::string_view data) {
  auto file = base::OpenFile(path_, O_WRONLY);
  if (!file.ok()) return file.status();
  if (absl::Status status = base::WriteAt(*file, data, offset, path_); !status.ok()) return status;
  const auto size = static_cast<int64_t>(data.size());
  (void)::sync_file_range(file->get(), offset, size, SYNC_FILE_RANGE_WRITE);  // the disk begins at once
  if (offset + size - std::max(synced_, syncing_until_) < kSyncEvery) return absl::OkStatus();
  return BeginSync(*std::move(file), offset + size);
}

absl::Status Arrival::BeginSync(base::FileDescriptor file, int64_t until) {
  if (absl::Status status = EndSync(); !status.ok()) return status;
  syncing_until_ = until;
  syncing_ = std::async(std::launch::async, [this, file = std::move(file), from = synced_, until] {
    absl::Status status = sync_(file, path_);
    // Few checkpoints are ever read: they give their memory to the chunks that follow and leave what is read in the
    // cache.
    (void)::posix_fadvise(file.get(), from, until - from, POSIX_FADV_DONTNEED);
    return status;
  });
  return absl::OkStatus();
}

absl::Status Arrival::EndSync() {
  if (!syncing_.valid()) return absl::OkStatus();
  absl::Status status = syncing_.get();
  if (status.ok()) synced_ = syncing_until_;
  return status;
}

absl::Status Arrival::CutBack(absl::Status why) {
  if (over_) return why;
  (void)EndSync();
  if (::truncate(path_.c_str(), synced_) != 0 && errno != ENOENT) why = base::FileError(errno, "cut back", path_);
  over_ = true;  // last: from here on the file is another Arrival's
  moved_.NotifyAll();
  return why;
}

absl::Status Arrival::Hash(int64_t until, std::string_view data, absl::Time deadline) {
  base::MutexLock lock(hash_mutex_);
  const int64_t offset = until - static_cast<int64_t>(data.size());
  while (hashed_ < until && hashed_ != offset && absl::Now() < deadline) {
    auto file = base::OpenFile(path_, O_RDONLY);
    if (!file.ok()) return file.status();
    const int64_t end = hashed_ < offset ? offset : until;
    const auto piece = base::ReadAt(*file, hashed_, std::min(end - hashed_, kLargestChunk), path_);
    if (!piece.ok()) return piece.status();
    if (piece->empty()) return absl::InternalError(absl::StrCat(path_, " has become shorter."));
    hash_.Update(*piece);
    hashed_ += static_cast<int64_t>(piece->size());
  }
  if (hashed_ == offset && !data.empty()) {
    hash_.Update(data);
    hashed_ = until;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> Arrival::Finish(absl::Time deadline) {
  const int64_t size = base::FileSize(path_);
  absl::Status status = Hash(size, "", deadline);
  base::MutexLock lock(mutex_);
  if (!digest_.empty()) return digest_;
  if (over_)
    return absl::UnavailableError(absl::StrCat("The upload was cut back to ", synced_, " bytes. Go on there."));
  if (status.ok()) status = EndSync();
  auto file = base::OpenFile(path_, O_WRONLY);
  if (status.ok()) status = file.ok() ? sync_(*file, path_) : file.status();
  if (!status.ok()) return CutBack(std::move(status));
  base::MutexLock hash_lock(hash_mutex_);
  if (hashed_ < size)
    return absl::UnavailableError(absl::StrCat(hashed_, " of ", size, " bytes are checked so far. Finish it again."));
  return digest_ = hash_.HexDigest();
}

}  // namespace strata::service
