#include "worker/trainer/control.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <sstream>
#include <system_error>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

std::atomic<bool> g_stop_signalled = false;
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr size_t kMaxLine = 1024;

[[noreturn]] void Throw(const std::string& path, const char* what) {
  throw std::system_error(errno, std::generic_category(), "Control socket " + path + " " + what);
}

sockaddr_un Address(const std::string& path) {
  sockaddr_un address = {.sun_family = AF_UNIX};
  if (path.size() >= sizeof address.sun_path) {
    throw Failure(Cause::kInternal, "Control socket " + path + " has a path of " + std::to_string(path.size()) +
                                        " bytes; Linux allows " + std::to_string(sizeof address.sun_path - 1) + ".");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

}  // namespace

void InstallSignalHandlers() {
  struct sigaction stop = {};
  stop.sa_handler = [](int) { g_stop_signalled = true; };
  stop.sa_flags = SA_RESTART;
  ::sigaction(SIGTERM, &stop, nullptr);
  ::sigaction(SIGINT, &stop, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a file too large is an error of write(2)
}

void BlockSignals() {
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

bool StopSignalled() { return g_stop_signalled; }

Control::Control(const std::string& socket) : path_(socket) {
  if (path_.empty()) return;
  const sockaddr_un address = Address(path_);
  const auto* plain = reinterpret_cast<const sockaddr*>(&address);
  const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool taken = probe >= 0 && ::connect(probe, plain, sizeof address) == 0;
  if (probe >= 0) ::close(probe);
  if (taken)
    throw Failure(Cause::kInternal,
                  "Control socket " + path_ + " is in use by another trainer. Give another --control.");
  ::unlink(path_.c_str());
  listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener_ < 0 || ::bind(listener_, plain, sizeof address) != 0 || ::listen(listener_, 8) != 0)
    Throw(path_, "cannot be opened");
  if (::pipe(wake_) != 0) Throw(path_, "cannot be served");
  thread_ = std::thread([this] { Listen(); });
}

Control::~Control() {
  if (listener_ < 0) return;
  ::close(wake_[1]);
  if (thread_.joinable()) thread_.join();
  ::close(wake_[0]);
  ::close(listener_);
  ::unlink(path_.c_str());
}

std::optional<Rendezvous> Control::rendezvous() const {
  const std::lock_guard lock(mutex_);
  return rendezvous_;
}

void Control::Listen() {
  BlockSignals();
  for (;;) {
    pollfd waits[2] = {{.fd = listener_, .events = POLLIN}, {.fd = wake_[0], .events = POLLIN}};
    if (::poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) continue;
    Serve(connection);
    ::close(connection);
  }
}

// One connection at a time, each line answered by a line, until the other side closes or is silent for ten seconds.
void Control::Serve(int connection) {
  std::string pending;
  for (;;) {
    pollfd waits[2] = {{.fd = connection, .events = POLLIN}, {.fd = wake_[0], .events = POLLIN}};
    if (::poll(waits, 2, 10'000) <= 0 || waits[1].revents != 0) return;
    char buffer[512];
    const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) return;
    pending.append(buffer, static_cast<size_t>(got));
    for (size_t end; (end = pending.find('\n')) != std::string::npos; pending.erase(0, end + 1)) {
      const std::string answer = Answer(pending.substr(0, end)) + "\n";
      if (::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(answer.size())) return;
    }
    if (pending.size() > kMaxLine) return;
  }
}

std::string Control::Answer(const std::string& line) {
  std::istringstream words(line);
  std::string word, host, rest;
  int64_t port = 0;
  words >> word;
  if (word == "rendezvous") {
    if (!(words >> host >> port) || port < 1 || port > 65535 || words >> rest)
      return "error write: rendezvous HOST PORT";
    const std::lock_guard lock(mutex_);
    rendezvous_ = Rendezvous{host, static_cast<uint16_t>(port)};
    return "ok";
  }
  if (words >> rest) return "error '" + word + "' takes no argument";
  if (word == "checkpoint") {
    checkpoint_ = true;
    return "ok";
  }
  if (word == "stop") {
    stop_ = true;
    return "ok";
  }
  return "error unknown command; known are checkpoint, stop and rendezvous HOST PORT";
}

}  // namespace strata::trainer
