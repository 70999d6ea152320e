#include "worker/agent/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/mutex.h"
#include "worker/agent/file.h"

extern char** environ;

namespace strata::agent {
namespace {

struct Stat {
  char state = '?';
  pid_t group = 0;
  uint64_t start_ticks = 0;
};

std::optional<Stat> ReadStat(pid_t pid) {
  const std::string text = ReadProc(absl::StrCat("/proc/", pid, "/stat"));
  const size_t close = text.rfind(')');  // the name before it may hold anything
  if (close == std::string::npos || close + 2 >= text.size()) return std::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(text.substr(close + 2), ' ');
  Stat stat;
  if (fields.size() < 20 || fields[0].empty()) return std::nullopt;
  stat.state = fields[0][0];
  if (!absl::SimpleAtoi(fields[2], &stat.group) || !absl::SimpleAtoi(fields[19], &stat.start_ticks))
    return std::nullopt;
  return stat;
}

bool Lives(const Stat& stat) { return stat.state != 'Z' && stat.state != 'X'; }

const std::string& BootId() {
  static const std::string& id = *new std::string([] {
    const std::string text = ReadProc("/proc/sys/kernel/random/boot_id");
    return text.empty() ? std::string("unknown") : text.substr(0, text.find('\n'));
  }());
  return id;
}

// What the child needs, laid out before the fork: after it only async-signal-safe calls are allowed.
struct ChildPlan {
  std::vector<char*> arguments;
  std::vector<std::string> environment_text;
  std::vector<char*> environment;
  std::string oom_score;
  cpu_set_t cores;
  bool pin = false;
  int log = -1, go = -1, failure = -1;
  const char* folder = nullptr;
};

std::vector<std::string> MergedEnvironment(const Command& command) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    bool replaced = false;
    for (const auto& [name, value] : command.environment) replaced |= text.rfind(name + "=", 0) == 0;
    if (!replaced) merged.push_back(text);
  }
  for (const auto& [name, value] : command.environment) merged.push_back(name + "=" + value);
  return merged;
}

[[noreturn]] void FailChild(int failure) {
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(failure, &error, sizeof error);
  ::_exit(127);
}

[[noreturn]] void RunChild(const ChildPlan& plan) {
  ::setsid();
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char go = 0;
  ssize_t n;
  do n = ::read(plan.go, &go, 1);
  while (n < 0 && errno == EINTR);
  if (n != 1) ::_exit(127);  // the agent died before it had recorded us
  const int oom = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (oom >= 0) [[maybe_unused]]
    const ssize_t written = ::write(oom, plan.oom_score.data(), plan.oom_score.size());
  if (plan.pin) ::sched_setaffinity(0, sizeof plan.cores, &plan.cores);
  const int null = ::open("/dev/null", O_RDONLY);
  if (::dup2(null, 0) < 0 || ::dup2(plan.log, 1) < 0 || ::dup2(plan.log, 2) < 0) FailChild(plan.failure);
  ::close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) FailChild(plan.failure);
  ::execve(plan.arguments[0], plan.arguments.data(), plan.environment.data());
  FailChild(plan.failure);
}

ChildPlan MakePlan(const Command& command) {
  ChildPlan plan;
  for (const std::string& argument : command.arguments) plan.arguments.push_back(const_cast<char*>(argument.c_str()));
  plan.arguments.push_back(nullptr);
  plan.environment_text = MergedEnvironment(command);
  for (std::string& entry : plan.environment_text) plan.environment.push_back(entry.data());
  plan.environment.push_back(nullptr);
  plan.oom_score = absl::StrCat(command.oom_score_adj);
  CPU_ZERO(&plan.cores);
  for (int core : command.cores) CPU_SET(core, &plan.cores);
  plan.pin = !command.cores.empty();
  plan.folder = command.folder.empty() ? nullptr : command.folder.c_str();
  return plan;
}

}  // namespace

absl::StatusOr<ProcessId> Start(const Command& command, const std::function<absl::Status(const ProcessId&)>& record) {
  // One at a time: a child forked meanwhile would hold a copy of our pipe's end, and not see the agent die.
  static base::Mutex& one_at_a_time = *new base::Mutex;
  base::MutexLock lock(one_at_a_time);
  const base::FileDescriptor log = Open(command.log, O_WRONLY | O_CREAT | O_APPEND);
  if (log.get() < 0) return base::FileError(errno, "create", command.log);
  int go[2], failure[2];
  if (::pipe2(go, O_CLOEXEC) != 0) return base::FileError(errno, "open", "a pipe");
  base::FileDescriptor go_read(go[0]), go_write(go[1]);
  if (::pipe2(failure, O_CLOEXEC) != 0) return base::FileError(errno, "open", "a pipe");
  base::FileDescriptor failure_read(failure[0]), failure_write(failure[1]);

  ChildPlan plan = MakePlan(command);
  plan.log = log.get();
  plan.go = go_read.get();
  plan.failure = failure_write.get();
  const int parent_end = go_write.get();
  const pid_t pid = ::fork();
  if (pid < 0) return base::FileError(errno, "start", command.arguments[0]);
  if (pid == 0) {
    ::close(parent_end);  // else the child's own copy would keep the pipe open when the agent dies
    RunChild(plan);
  }
  go_read = base::FileDescriptor();
  failure_write = base::FileDescriptor();

  std::optional<ProcessId> self = Identify(pid);
  absl::Status recorded = self ? record(*self) : absl::InternalError(absl::StrCat("process ", pid, " is gone at once"));
  if (!recorded.ok()) {
    go_write = base::FileDescriptor();
    ::waitpid(pid, nullptr, 0);
    return recorded;
  }
  [[maybe_unused]] const ssize_t sent = ::write(go_write.get(), "g", 1);
  int error = 0;
  ssize_t n;
  do n = ::read(failure_read.get(), &error, sizeof error);  // end of file: execve has closed it
  while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    return base::FileError(error, "execute", command.arguments[0]);
  }
  return *self;
}

std::optional<ProcessId> Identify(pid_t pid) {
  const std::optional<Stat> stat = ReadStat(pid);
  if (!stat || !Lives(*stat)) return std::nullopt;
  return ProcessId{pid, stat->start_ticks, BootId()};
}

bool IsSuspended(const ProcessId& process) {
  const std::optional<Stat> stat = ReadStat(process.pid);
  return stat && stat->start_ticks == process.start_ticks && (stat->state == 'T' || stat->state == 't');
}

int64_t AnonymousMemory(const ProcessId& process) {
  const std::vector<std::string> fields =
      absl::StrSplit(ReadProc(absl::StrCat("/proc/", process.pid, "/statm")), ' ');  // in pages
  int64_t resident = 0, shared = 0;
  if (fields.size() < 3 || !absl::SimpleAtoi(fields[1], &resident) || !absl::SimpleAtoi(fields[2], &shared)) return 0;
  return (resident - shared) * ::sysconf(_SC_PAGESIZE);
}

bool IsRunning(const ProcessId& process, const std::string& argument) {
  if (Identify(process.pid) != process) return false;
  return ReadProc(absl::StrCat("/proc/", process.pid, "/cmdline")).find(argument) != std::string::npos;
}

std::optional<ExitStatus> Poll(const ProcessId& process) {
  int status = 0;
  const pid_t got = ::waitpid(process.pid, &status, WNOHANG);
  if (got == process.pid) {
    if (WIFSIGNALED(status)) return ExitStatus{.known = true, .signal = WTERMSIG(status)};
    return ExitStatus{.known = true, .code = WEXITSTATUS(status)};
  }
  if (got == 0) return std::nullopt;
  if (Identify(process.pid) == process) return std::nullopt;  // adopted, and still there
  return ExitStatus{};
}

void SignalGroup(const ProcessId& process, int signal) {
  if (process.pid <= 1 || process.boot_id != BootId()) return;
  const std::optional<Stat> leader = ReadStat(process.pid);
  // A leader that another process has replaced: its group id cannot be in use by ours any more either, as the kernel
  // hands out no pid that still names a group.
  if (leader && leader->start_ticks != process.start_ticks) return;
  ::kill(-process.pid, signal);
}

bool GroupIsGone(const ProcessId& process) {
  if (process.boot_id != BootId()) return true;
  if (::kill(-process.pid, 0) != 0 && errno == ESRCH) return true;
  const std::optional<Stat> leader = ReadStat(process.pid);
  if (leader && leader->start_ticks != process.start_ticks) return true;
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return !leader || !Lives(*leader);
  bool gone = true;
  while (dirent* entry = ::readdir(folder)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::optional<Stat> stat = ReadStat(pid);
    if (stat && stat->group == process.pid && Lives(*stat)) gone = false;
  }
  ::closedir(folder);
  return gone;
}

std::string SignalName(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? absl::StrCat("SIG", name) : absl::StrCat("signal ", signal);
}

}  // namespace strata::agent
