#include "worker/trainer/events.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

[[noreturn]] void Throw(const std::string& file, const char* what) {
  const int code = errno;
  throw std::system_error(code, std::generic_category(), file + " " + what);
}

}  // namespace

Json NumberJson(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::string Timestamp(int64_t milliseconds) {
  const std::time_t seconds = milliseconds / 1000;
  std::tm utc = {};
  ::gmtime_r(&seconds, &utc);
  char text[80];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900, utc.tm_mon + 1,
                utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, static_cast<int>(milliseconds % 1000));
  return text;
}

EventLog::EventLog(const std::string& spool, int64_t attempt, int64_t rank)
    : name_(spool.empty() ? "standard output" : spool), attempt_(attempt), rank_(rank) {
  if (spool.empty()) {
    fd_ = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    if (fd_ < 0) Throw(name_, "is closed");
    return;
  }
  fd_ = ::open(spool.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) Throw(name_, "cannot be opened for events");
  try {
    TakeUp(spool);
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

EventLog::~EventLog() { ::close(fd_); }

void EventLog::TakeUp(const std::string& spool) {
  struct stat status = {};
  if (::fstat(fd_, &status) != 0) Throw(name_, "cannot be read");
  regular_file_ = S_ISREG(status.st_mode);
  if (!regular_file_ || status.st_size == 0) return;
  // Back from the end in growing pieces, until two line ends (or the beginning) are seen.
  std::string tail;
  off_t begin = status.st_size;
  size_t end = std::string::npos, before = std::string::npos;
  for (off_t piece = 1 << 16; begin > 0 && before == std::string::npos; piece *= 4) {
    begin = std::max<off_t>(0, status.st_size - piece);
    tail.resize(static_cast<size_t>(status.st_size - begin));
    if (::pread(fd_, tail.data(), tail.size(), begin) != static_cast<ssize_t>(tail.size()))
      Throw(name_, "cannot be read");
    end = tail.rfind('\n');
    before = end == std::string::npos || end == 0 ? std::string::npos : tail.rfind('\n', end - 1);
  }
  const off_t whole = end == std::string::npos ? 0 : begin + static_cast<off_t>(end) + 1;
  if (whole < status.st_size && ::ftruncate(fd_, whole) != 0)
    Throw(name_, "has a torn last line that cannot be cut off");
  if (end == std::string::npos) return;
  const size_t start = before == std::string::npos ? 0 : before + 1;
  try {
    const auto last = nlohmann::json::parse(tail.substr(start, end - start));
    if (last.at("attempt") == attempt_ && last.at("rank") == rank_) seq_ = last.at("seq").get<int64_t>();
  } catch (const nlohmann::json::exception&) {
    throw Failure(Cause::kInternal, spool + " is no spool of events: its last line is none. Give another --spool.");
  }
}

void EventLog::WriteLine(const std::string& line) {
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t written = ::write(fd_, line.data() + done, line.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int code = errno;
      struct stat status = {};
      if (done > 0 && regular_file_ && ::fstat(fd_, &status) == 0) {
        (void)!::ftruncate(fd_, status.st_size - static_cast<off_t>(done));
      }
      errno = code;
      Throw(name_, "takes no more events");
    }
    done += static_cast<size_t>(written);
  }
}

void EventLog::Emit(const std::string& type, const Json& fields) {
  using std::chrono::duration_cast, std::chrono::milliseconds, std::chrono::system_clock;
  const std::lock_guard lock(mutex_);
  Json event = {{"seq", seq_ + 1},
                {"attempt", attempt_},
                {"rank", rank_},
                {"time", Timestamp(duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count())},
                {"type", type}};
  if (!fields.is_null()) event.update(fields);
  WriteLine(event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  ++seq_;
}

int64_t EventLog::last_seq() const {
  const std::lock_guard lock(mutex_);
  return seq_;
}

void EventLog::Warn(const std::string& message) {
  std::fprintf(stderr, "strata-trainer: %s\n", message.c_str());
  Emit("warning", {{"message", message}});
}

void EventLog::Sync() {
  if (regular_file_ && ::fdatasync(fd_) != 0) Throw(name_, "cannot be synced");
}

}  // namespace strata::trainer
