// The ranks of one attempt, started for real on this machine, with what agents and coordinator do for them: the
// rendezvous goes from rank 0's spool to the others' control sockets.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace strata::trainer::testing {

class Gang {
 public:
  // Starts `ranks` trainers with `arguments`, which name neither rank, spool, control nor out: those are files of
  // `folder`, which is made: `events-R`, `control-R`, `collectives-R`, `log-R` and, of rank R, `out` or `out-R`.
  Gang(std::filesystem::path folder, const std::vector<std::string>& arguments, int ranks,
       const std::string& address = "127.0.0.1");
  // Ends, by SIGKILL, whoever still runs.
  ~Gang();
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;

  // Waits for `rendezvous` of rank 0 and tells the others. False where rank 0 ended first.
  bool Introduce();
  // Waits until rank R's spool has an event of the type (or R ends).
  bool Await(int rank, const std::string& type);

  bool Running(int rank);
  pid_t pid(int rank) const { return pids_[static_cast<size_t>(rank)]; }
  // Waits for a rank's end; exit status, or 128 + signal.
  int Wait(int rank);
  std::vector<int> WaitAll();

  std::vector<nlohmann::json> Events(int rank) const;
  nlohmann::json Last(int rank) const;  // event; null where there is none
  std::string Log(int rank) const;
  std::filesystem::path Out(int rank) const;
  struct Position {
    uint64_t sequence = 0;
    std::string name;
    friend bool operator==(const Position&, const Position&) = default;
  };
  Position Collective(int rank) const;  // what its collectives file says

 private:
  std::filesystem::path File(const std::string& name, int rank) const {
    return folder_ / (name + "-" + std::to_string(rank));
  }

  std::filesystem::path folder_;
  std::vector<pid_t> pids_;
  std::vector<int> statuses_;  // -1: not waited for
};

// A line to a control socket; its answer. Waits up to a minute for the socket.
std::string Ask(const std::filesystem::path& socket, const std::string& line);

}  // namespace strata::trainer::testing
