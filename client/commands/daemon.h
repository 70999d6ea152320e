// The embedded cluster's processes: started apart from the terminal, found again by pid file, stopped gently.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace strata::client {

// A process of ours. Its pid counts only while the start time in /proc is the one that was written down: pids are
// reused.
struct Daemon {
  std::string name;      // "strata-coordinator"
  std::string pid_file;  // STRATA_HOME/coordinator/pid.json
  std::string log;       // where standard output and error go, appended
};

// The pid if the process lives.
std::optional<int> RunningPid(const Daemon& daemon);

// Starts `program` in a session of its own, stdin closed, and writes the pid file. INTERNAL with the last log line if
// it has ended within a moment.
absl::Status StartDaemon(const Daemon& daemon, const std::string& program, const std::vector<std::string>& arguments);

// SIGTERM, then waits. OK if it does not run. DEADLINE_EXCEEDED if it still does after `patience`; with `force` it is
// killed.
absl::Status StopDaemon(const Daemon& daemon, std::chrono::seconds patience, bool force);

// The last `lines` lines of its log; only those since it was started last, where this process started it.
std::string LogTail(const Daemon& daemon, int lines);

// The program of this build: beside `strata`, or at ../FOLDER/NAME as in the build tree. NOT_FOUND names both places.
absl::StatusOr<std::string> FindProgram(const std::string& folder, const std::string& name);

// `wanted` if nobody listens there, else any free port; of the loopback address. `wanted` 0: any.
int FreePort(int wanted);
bool PortIsFree(int port);

}  // namespace strata::client
