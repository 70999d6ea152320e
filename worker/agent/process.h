// Trainer processes: started each as leader of its own session and process group, so that it outlives the agent and is
// ended whole; known again later by pid, start time and boot, so that a pid given to another process is never touched.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace strata::agent {

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/pid/stat, since boot
  std::string boot_id;
  bool operator==(const ProcessId&) const = default;
};

struct Command {
  std::vector<std::string> arguments;                            // [0] is the program's path
  std::vector<std::pair<std::string, std::string>> environment;  // set over the agent's own
  std::string folder;                                            // working directory
  std::string log;                                               // standard output and error are appended here
  std::vector<int> cores;                                        // pinned to these; empty: as the agent
  int oom_score_adj = 500;  // the kernel ends a trainer before agent or coordinator
};

// How a process ended.
struct ExitStatus {
  bool known = false;  // false for an adopted one: only a parent learns it
  int code = 0;        // exit code, if signal is 0
  int signal = 0;
};

// Starts `command`. The child waits until `record` has stored its identity, and ends by itself if the agent dies
// before: no process runs that is not recorded. NOT_FOUND or INTERNAL with the sentence if it cannot be executed.
absl::StatusOr<ProcessId> Start(const Command& command, const std::function<absl::Status(const ProcessId&)>& record);

// The process that has `pid` now; nullopt if there is none, or it is a zombie.
std::optional<ProcessId> Identify(pid_t pid);

// True while a signal (SIGSTOP) holds it.
bool IsSuspended(const ProcessId& process);

// Bytes of private memory that it holds, file pages and reservations apart; 0 if it is gone.
int64_t AnonymousMemory(const ProcessId& process);

// Is it still the same process, and does its command line contain `argument`?
bool IsRunning(const ProcessId& process, const std::string& argument);

// Collects the exit status of a child of ours, without waiting. nullopt: still running. An adopted process that is gone
// has an unknown status.
std::optional<ExitStatus> Poll(const ProcessId& process);

// Sends `signal` to the whole group, if the leader or any member is still the one we know.
void SignalGroup(const ProcessId& process, int signal);

// True when nothing lives in its group any more (zombies do not count).
bool GroupIsGone(const ProcessId& process);

std::string SignalName(int signal);  // "SIGSEGV"

}  // namespace strata::agent
