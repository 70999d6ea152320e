#include "client/commands/daemon.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"

namespace strata::client {
namespace {

constexpr std::chrono::milliseconds kPoll{50};

// Where the log of each daemon stood when this process started it.
std::map<std::string, int64_t>& LogBegins() {
  static auto* const begins = new std::map<std::string, int64_t>;
  return *begins;
}

// Start time of a process in clock ticks since boot, with the boot's id; "" if there is no such process, or only its
// zombie.
std::string StartTime(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  const std::string stat(std::istreambuf_iterator<char>(file), {});
  const size_t end_of_name = stat.rfind(')');
  if (end_of_name == std::string::npos) return "";
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(end_of_name + 2), ' ');
  constexpr size_t kState = 0, kStart = 19;  // fields 3 and 22 of proc(5)
  if (fields.size() <= kStart || fields[kState] == "Z") return "";
  std::ifstream boot_file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  boot_file >> boot;
  return absl::StrCat(boot, "/", fields[kStart]);
}

// In the child: detaches from the terminal and becomes the program. Never returns.
[[noreturn]] void Become(const std::string& program, const std::vector<std::string>& arguments, int log, int null) {
  setsid();
  dup2(null, STDIN_FILENO);
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGPIPE, SIG_DFL);
  execv(program.c_str(), argv.data());
  _exit(127);
}

}  // namespace

std::optional<int> RunningPid(const Daemon& daemon) {
  std::ifstream file(daemon.pid_file);
  const auto json = nlohmann::json::parse(file, nullptr, false);
  if (!json.is_object() || !json.contains("pid") || !json["pid"].is_number_integer()) return std::nullopt;
  const int pid = json["pid"];
  const std::string start = pid > 1 ? StartTime(pid) : "";
  if (start.empty() || json.value("start_time", "") != start) return std::nullopt;
  return pid;
}

absl::Status StartDaemon(const Daemon& daemon, const std::string& program, const std::vector<std::string>& arguments) {
  const std::string folder = std::filesystem::path(daemon.pid_file).parent_path();
  if (const absl::Status status = base::MakeFolders(folder); !status.ok()) return status;
  const auto log = base::OpenFile(daemon.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC);
  if (!log.ok()) return log.status();
  LogBegins()[daemon.log] = base::FileSize(daemon.log);
  const auto null = base::OpenFile("/dev/null", O_RDONLY | O_CLOEXEC);
  if (!null.ok()) return null.status();
  const pid_t child = fork();
  if (child < 0) return absl::InternalError(absl::StrCat(daemon.name, " cannot be started: fork failed."));
  if (child == 0) Become(program, arguments, log->get(), null->get());
  const nlohmann::json json = {{"pid", child}, {"start_time", StartTime(child)}};
  return base::WriteFileAtomically(daemon.pid_file, json.dump() + "\n");
}

absl::Status StopDaemon(const Daemon& daemon, std::chrono::seconds patience, bool force) {
  const std::optional<int> pid = RunningPid(daemon);
  if (!pid) return absl::OkStatus();
  kill(*pid, SIGTERM);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (RunningPid(daemon) && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kPoll);
  if (RunningPid(daemon) && force) {
    kill(*pid, SIGKILL);
    for (int i = 0; i < 100 && RunningPid(daemon); ++i) std::this_thread::sleep_for(kPoll);
  }
  if (RunningPid(daemon)) {
    return absl::DeadlineExceededError(absl::StrCat(daemon.name, " (pid ", *pid, ") has not stopped within ",
                                                    patience.count(),
                                                    " s. Wait longer with --timeout, or end it with --force."));
  }
  std::filesystem::remove(daemon.pid_file);
  return absl::OkStatus();
}

std::string LogTail(const Daemon& daemon, int lines) {
  std::ifstream file(daemon.log, std::ios::binary);
  if (const auto begin = LogBegins().find(daemon.log); begin != LogBegins().end()) file.seekg(begin->second);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::vector<std::string> all = absl::StrSplit(text, '\n', absl::SkipEmpty());
  if (static_cast<int>(all.size()) > lines) all.erase(all.begin(), all.end() - lines);
  return absl::StrJoin(all, "\n");
}

absl::StatusOr<std::string> FindProgram(const std::string& folder, const std::string& name) {
  std::error_code error;
  const std::filesystem::path here = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  for (const auto& path : {here / name, here.parent_path() / folder / name}) {
    if (access(path.c_str(), X_OK) == 0) return path.lexically_normal().string();
  }
  return absl::NotFoundError(absl::StrCat(name, " is neither at ", (here / name).string(), " nor at ",
                                          (here.parent_path() / folder / name).string(),
                                          ". Build it: ninja -C build/release ", name, "."));
}

bool PortIsFree(int port) { return FreePort(port) == port; }

int FreePort(int wanted) {
  for (const int port : {wanted, 0}) {
    const base::FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int yes = 1;
    setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    socklen_t length = sizeof address;
    if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) continue;
    if (listen(socket.get(), 1) != 0) continue;
    getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length);
    return ntohs(address.sin_port);
  }
  return 0;
}

}  // namespace strata::client
