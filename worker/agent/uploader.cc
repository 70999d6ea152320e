#include "worker/agent/uploader.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

constexpr int64_t kChunkBytes = 4 << 20;
constexpr int kMostSpoiled = 3;
constexpr auto kPause = std::chrono::milliseconds(250);
// So many chunks are on their way at once while each takes no longer than this: less than a chunk that overtakes the
// one before it waits at the coordinator.
constexpr size_t kMostAtOnce = 3;
constexpr auto kQuick = std::chrono::milliseconds(200);

// Sends what an upload lacks of a file, a few chunks at once. Belongs to one thread. Ends once no chunk is on its way.
class ChunkSender {
 public:
  ChunkSender(Coordinator& coordinator, std::string upload, const LocalFile& file, int fd)
      : coordinator_(coordinator), upload_(std::move(upload)), file_(file), fd_(fd) {}

  // From `offset` to the file's end, as long as `proceed` of the bytes that were acknowledged last says so.
  absl::Status Send(int64_t offset, const std::function<bool(int64_t)>& proceed);

 private:
  using Clock = std::chrono::steady_clock;

  // Kept until it is acknowledged: one that was damaged is sent again.
  struct Chunk {
    int64_t offset = 0;
    std::string data;
    bool ahead = false;  // of others that were not acknowledged when it was sent
    Clock::time_point sent = {};
    std::future<absl::StatusOr<int64_t>> answer = {};
  };

  // Reads the chunk at `offset` and sends it behind those that are on their way.
  absl::Status Begin(int64_t offset);
  void Send(Chunk& chunk);
  // Waits for the oldest chunk. Returns how many bytes of it are acknowledged: 0 if it had to be sent again.
  absl::StatusOr<int64_t> Await();

  Coordinator& coordinator_;
  const std::string upload_;
  const LocalFile& file_;
  const int fd_;
  std::deque<Chunk> chunks_;  // on their way, in order
  size_t at_once_ = 1;
  int spoiled_ = 0;  // in a row
};

absl::Status ChunkSender::Send(int64_t offset, const std::function<bool(int64_t)>& proceed) {
  int64_t acknowledged = 0;
  while (proceed(acknowledged)) {
    while (chunks_.size() < at_once_ && offset < file_.file.bytes) {
      if (absl::Status status = Begin(offset); !status.ok()) return status;
      offset += static_cast<int64_t>(chunks_.back().data.size());
    }
    if (chunks_.empty()) return absl::OkStatus();
    const auto bytes = Await();
    if (!bytes.ok()) return bytes.status();
    acknowledged = *bytes;
  }
  return absl::CancelledError("stopped");
}

absl::Status ChunkSender::Begin(int64_t offset) {
  Chunk chunk{.offset = offset, .ahead = !chunks_.empty()};
  chunk.data.resize(static_cast<size_t>(std::min(kChunkBytes, file_.file.bytes - offset)));
  const ssize_t n = ::pread(fd_, chunk.data.data(), chunk.data.size(), offset);
  if (n < 0) return base::FileError(errno, "read", file_.path);
  if (n == 0) return absl::DataLossError(absl::StrCat(file_.path, " is shorter than its checkpoint event says"));
  chunk.data.resize(static_cast<size_t>(n));
  Send(chunks_.emplace_back(std::move(chunk)));
  return absl::OkStatus();
}

void ChunkSender::Send(Chunk& chunk) {
  chunk.sent = Clock::now();
  chunk.answer = std::async(std::launch::async,
                            [this, &chunk] { return coordinator_.UploadChunk(upload_, chunk.offset, chunk.data); });
}

absl::StatusOr<int64_t> ChunkSender::Await() {
  Chunk& chunk = chunks_.front();
  const auto answer = chunk.answer.get();
  at_once_ = Clock::now() - chunk.sent < kQuick ? kMostAtOnce : 1;
  const bool spoiled = answer.status().code() == absl::StatusCode::kDataLoss && ++spoiled_ < kMostSpoiled;
  const bool too_early = answer.status().code() == absl::StatusCode::kFailedPrecondition &&
                         Classify(answer.status()) == Trouble::kRefused && chunk.ahead;
  if (spoiled || too_early) {
    chunk.ahead = false;
    Send(chunk);
    return 0;
  }
  if (!answer.ok()) return answer.status();
  spoiled_ = 0;
  const auto bytes = static_cast<int64_t>(chunk.data.size());
  if (*answer != chunk.offset + bytes) {
    return absl::InternalError(absl::StrCat("the coordinator acknowledges ", *answer,
                                            " bytes after a chunk that ends at ", chunk.offset + bytes));
  }
  chunks_.pop_front();
  return bytes;
}

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
  ChunkSender sender(coordinator_, upload->id, file, fd);
  const absl::Status sent = sender.Send(upload->offset, [this](int64_t acknowledged) {
    stats_.upload_bytes += acknowledged;
    return !stopping();
  });
  if (!sent.ok()) return sent;
  return coordinator_.FinishUpload(upload->id);
}

}  // namespace strata::agent
