// What the trainer's tests share: a small dataset, a spec, and the real program run on them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace strata::trainer::testing {

// A folder of its own, removed at the end.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A dataset after docs/DATASETS.md: 300 training, 20 validation and 12 test pairs over 40 pieces; a target is its
// source backwards.
void WriteDataset(const std::filesystem::path& folder);

// A spec of a small B2T model on it, 24 updates. Change it as JSON.
nlohmann::json SmallSpec();
void WriteJson(const std::filesystem::path& file, const nlohmann::json& json);

struct Ended {
  int status = 0;   // exit status, or 128 + signal
  std::string out;  // standard output
  std::string err;  // standard error
};

// Runs strata-trainer to its end.
Ended RunTrainer(const std::vector<std::string>& arguments);
// Starts it; the caller waits for it. Output goes to `log`.
pid_t StartTrainer(const std::vector<std::string>& arguments, const std::filesystem::path& log);
int WaitFor(pid_t pid);  // as Ended::status

// The events of a spool, in order.
std::vector<nlohmann::json> ReadEvents(const std::filesystem::path& spool);
// Those of a type.
std::vector<nlohmann::json> OfType(const std::vector<nlohmann::json>& events, const std::string& type);

// Local addresses of the TCP sockets that a process listens on, as /proc/net/tcp writes them ("0100007F").
std::multiset<std::string> ListeningAddresses(pid_t pid);

}  // namespace strata::trainer::testing
