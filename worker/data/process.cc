#include "worker/data/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "model/data/shard.h"

namespace strata::data {
namespace {

constexpr int kSilence = 15 * 60 * 1000;  // milliseconds

struct Pipe {
  int read = -1, write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw model::DataError(std::string("Cannot make a pipe: ") + std::strerror(errno));
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    ::close(read);
    CloseWrite();
  }
  void CloseWrite() {
    if (write >= 0) ::close(write);
    write = -1;
  }
};

[[noreturn]] void Child(const std::vector<char*>& arguments, const std::string& folder, int out, int err, int failure) {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);  // whatever this program blocks
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  const int null = ::open("/dev/null", O_RDONLY);
  const bool ready = ::dup2(null, 0) >= 0 && ::dup2(out, 1) >= 0 && ::dup2(err, 2) >= 0 &&
                     (folder.empty() || ::chdir(folder.c_str()) == 0);
  if (ready) ::execvp(arguments[0], arguments.data());
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(failure, &error, sizeof(error));
  ::_exit(127);
}

// Reads both pipes until both are at their end; false if nothing came for so long that something hangs.
bool Drain(const Pipe& out, const Pipe& err, ProcessResult* result) {
  std::array<pollfd, 2> polled = {{{out.read, POLLIN, 0}, {err.read, POLLIN, 0}}};
  char buffer[1 << 16];
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    const int ready = ::poll(polled.data(), polled.size(), kSilence);
    if (ready == 0) return false;
    if (ready < 0 && errno != EINTR) break;
    for (pollfd& p : polled) {
      if (p.fd < 0 || p.revents == 0) continue;
      const ssize_t n = ::read(p.fd, buffer, sizeof(buffer));
      if (n > 0) (p.fd == out.read ? result->output : result->errors).append(buffer, static_cast<size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) p.fd = -1;
    }
  }
  return true;
}

}  // namespace

ProcessResult RunProcess(const std::vector<std::string>& command, const std::filesystem::path& folder) {
  Pipe out, err, failure;
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const std::string where = folder.string();
  const pid_t child = ::fork();
  if (child < 0) throw model::DataError("Cannot start " + command[0] + ": " + std::strerror(errno) + ".");
  if (child == 0) {
    ::setenv("LC_ALL", "C.UTF-8", 1);
    Child(arguments, where, out.write, err.write, failure.write);
  }
  for (Pipe* p : {&out, &err, &failure}) p->CloseWrite();
  ProcessResult result;
  const bool answered = Drain(out, err, &result);
  if (!answered) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!answered) throw model::DataError(command[0] + " said nothing for 15 minutes and was ended. Is the network up?");
  int error = 0;
  if (::read(failure.read, &error, sizeof(error)) == sizeof(error)) {
    throw model::DataError("Cannot start " + command[0] + ": " + std::strerror(error) +
                           ". It is part of Debian; is this another system?");
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace strata::data
