#include "worker/agent/uploader.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

constexpr int64_t kChunkBytes = 4 << 20;
constexpr int kMostSpoiled = 3;
constexpr auto kPause = std::chrono::milliseconds(250);

}  // namespace

Uploader::Uploader(Coordinator& coordinator, AttemptId id, Stats& stats)
    : coordinator_(coordinator), id_(std::move(id)), stats_(stats), thread_([this] { Run(); }) {}

Uploader::~Uploader() {
  Stop();
  thread_.join();
}

void Uploader::Stop() {
  base::MutexLock lock(mutex_);
  stop_ = true;
  changed_.NotifyAll();
}

void Uploader::Offer(LocalFile file) {
  base::MutexLock lock(mutex_);
  if (file.file.kind == "checkpoint_resumable") {
    resumable_ = {std::move(file)};
  } else if (file.file.kind == "checkpoint_best") {
    best_ = {std::move(file)};
  } else {
    needed_.push_back(std::move(file));
  }
  changed_.NotifyAll();
}

void Uploader::Finish(bool resumable_needed) {
  base::MutexLock lock(mutex_);
  if (!resumable_needed) resumable_.clear();
  finish_ = true;
  changed_.NotifyAll();
}

bool Uploader::Done() const {
  base::MutexLock lock(mutex_);
  return finish_ && !busy_ && needed_.empty() && resumable_.empty() && best_.empty();
}

absl::Status Uploader::failure() const {
  base::MutexLock lock(mutex_);
  return failure_;
}

bool Uploader::stale() const {
  base::MutexLock lock(mutex_);
  return stale_;
}

bool Uploader::stopping() const {
  base::MutexLock lock(mutex_);
  return stop_;
}

bool Uploader::TakeNext(LocalFile* next) {
  const auto take = [&](std::vector<LocalFile>& from) {
    *next = std::move(from.front());
    from.erase(from.begin());
    return true;
  };
  if (!needed_.empty()) return take(needed_);
  if (!best_.empty() && (finish_ || !resumable_.empty())) return take(best_);
  if (!resumable_.empty()) return take(resumable_);
  return false;
}

void Uploader::Run() {
  for (;;) {
    LocalFile next;
    {
      base::MutexLock lock(mutex_);
      busy_ = false;
      while (!stop_ && !TakeNext(&next)) changed_.Wait(mutex_);
      if (stop_) return;
      busy_ = true;
    }
    const Result result = Send(next);
    if (result == Result::kStopped) return;
    if (result == Result::kStale) {
      base::MutexLock lock(mutex_);
      stale_ = true;
      return;
    }
  }
}

bool Uploader::Pause() {
  base::MutexLock lock(mutex_);
  if (!stop_) changed_.WaitFor(mutex_, kPause);
  return !stop_;
}

Uploader::Result Uploader::Send(const LocalFile& file) {
  const bool replaceable = file.file.kind == "checkpoint_resumable" || file.file.kind == "checkpoint_best";
  const auto fail = [&](absl::Status why) {
    if (replaceable) {  // a newer one has taken its place, or will
      spdlog::debug("{}#{}: {} is not uploaded: {}", id_.job, id_.attempt, file.file.file_name,
                    std::string(why.message()));
      return Result::kSuperseded;
    }
    base::MutexLock lock(mutex_);
    failure_ = absl::DataLossError(absl::StrCat(file.file.file_name, " could not be uploaded: ", why.message()));
    return Result::kFailed;
  };
  const base::FileDescriptor open_file = Open(file.path, O_RDONLY);  // held: the trainer may delete it meanwhile
  if (open_file.get() < 0) {
    // The trainer has deleted it: as many later epochs as are averaged have followed it.
    if (errno == ENOENT && file.file.kind == "checkpoint_epoch") return Result::kSuperseded;
    return fail(base::FileError(errno, "open", file.path));
  }
  int refused = 0;
  for (;;) {
    const absl::Status status = SendOnce(file, open_file.get());
    if (status.ok()) return Result::kDone;
    if (stopping()) return Result::kStopped;
    ++stats_.upload_failures;
    const Trouble trouble = Classify(status);
    if (trouble == Trouble::kStaleAttempt) return Result::kStale;
    if (trouble == Trouble::kRefused && ++refused >= kMostSpoiled) return fail(status);
    if (trouble == Trouble::kRefused && status.code() == absl::StatusCode::kDataLoss) {
      const auto hash = base::Sha256OfFile(file.path);
      if (!hash.ok() || *hash != file.file.sha256) return fail(status);
    }
    if (!Pause()) return Result::kStopped;
  }
}

absl::Status Uploader::SendOnce(const LocalFile& file, int fd) {
  auto upload = coordinator_.StartUpload(id_, file.file);
  if (!upload.ok()) return upload.status();
  if (upload->complete) return absl::OkStatus();
  std::string chunk;
  int spoiled = 0;
  int64_t offset = upload->offset;
  while (offset < file.file.bytes) {
    if (stopping()) return absl::CancelledError("stopped");
    chunk.resize(static_cast<size_t>(std::min(kChunkBytes, file.file.bytes - offset)));
    const ssize_t n = ::pread(fd, chunk.data(), chunk.size(), offset);
    if (n < 0) return base::FileError(errno, "read", file.path);
    if (n == 0) return absl::DataLossError(absl::StrCat(file.path, " is shorter than its checkpoint event says"));
    const auto acknowledged = coordinator_.UploadChunk(upload->id, offset, {chunk.data(), static_cast<size_t>(n)});
    // Damaged on its way: what is on disk here is sent again.
    if (acknowledged.status().code() == absl::StatusCode::kDataLoss && ++spoiled < kMostSpoiled) continue;
    if (!acknowledged.ok()) return acknowledged.status();
    spoiled = 0;
    if (*acknowledged <= offset) return absl::InternalError("the coordinator acknowledges no bytes of a chunk");
    stats_.upload_bytes += *acknowledged - offset;
    offset = *acknowledged;
  }
  return coordinator_.FinishUpload(upload->id);
}

}  // namespace strata::agent
