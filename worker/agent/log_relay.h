// Relays what the trainers of an attempt write to standard error, and keeps the files small: what is relayed is punched
// out of them, but for the last part. Of an attempt at most 16 MiB are relayed; what a file has beyond that is punched out
// too, but for its end, so that it stays small while the coordinator is away.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/agent/coordinator.h"

namespace strata::agent {

// Bytes that are no UTF-8 become '?', one for one: offsets stay what they are.
std::string ValidUtf8(std::string text);

// Thread-compatible.
class LogRelay {
 public:
  struct Source {
    int32_t rank = 0;
    std::string path;
  };
  // `positions`: file in which it notes how far it is, for an agent's restart. With one rank in all the place in the
  // file is the place in the attempt's log; with several, lines are marked with their rank.
  LogRelay(Coordinator& coordinator, AttemptId id, std::vector<Source> sources, bool only_rank, std::string positions);

  // Sends the next piece of each file. `ended`: the processes are gone, last lines without an end go too.
  absl::Status Step(bool ended);
  // All that was there at the last Step(true) is sent, or is beyond the limit.
  bool Done() const { return done_; }

 private:
  struct Reader {
    Source source;
    int64_t position = 0;
  };
  std::string NextText(const Reader& reader, bool ended, int64_t* consumed) const;
  absl::Status Append(Reader& reader, const std::string& text, int64_t consumed);
  void SavePositions() const;

  Coordinator& coordinator_;
  const AttemptId id_;
  std::vector<Reader> readers_;
  const bool only_rank_;
  const std::string positions_;
  int64_t offset_ = 0;  // in the attempt's log
  bool done_ = false;
};

}  // namespace strata::agent
