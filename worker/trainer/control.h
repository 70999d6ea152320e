// What reaches a running trainer from outside: signals and the control socket (docs/TRAINER.md).
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace strata::trainer {

struct Rendezvous {
  std::string host;
  uint16_t port = 0;
};

// From now on SIGTERM and SIGINT ask for a stop, and a closed pipe is an error of write(2). Once a process, at its
// start.
void InstallSignalHandlers();
// In a thread that a job starts: signals are the training thread's.
void BlockSignals();
// Whether a signal asked for a stop. Any thread.
bool StopSignalled();

// Listens on a Unix stream socket with a thread of its own; the trainer asks between steps. Thread-safe.
class Control {
 public:
  // `socket` empty: no socket, signals only. A file that stands there and that nobody listens on is replaced.
  // Throws std::system_error naming the path, Failure (internal) where someone listens there.
  explicit Control(const std::string& socket);
  ~Control();  // removes the socket
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // A stop was asked for, by signal or `stop`. Stays true.
  bool StopRequested() const { return stop_ || StopSignalled(); }
  // Whether `checkpoint` came since the last call.
  bool TakeCheckpointRequest() { return checkpoint_.exchange(false); }
  std::optional<Rendezvous> rendezvous() const;

 private:
  void Listen();
  void Serve(int connection);
  std::string Answer(const std::string& line);

  std::string path_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};  // closing its writing end ends the thread
  std::atomic<bool> stop_ = false, checkpoint_ = false;
  mutable std::mutex mutex_;
  std::optional<Rendezvous> rendezvous_;  // under mutex_
  std::thread thread_;
};

}  // namespace strata::trainer
