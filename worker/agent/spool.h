// The spool of one rank: the trainer appends whole JSON lines numbered 1, 2, ... (docs/TRAINER.md), the agent reads
// behind it and lets go of what the coordinator has acknowledged. A last line without its end is not read before it is
// whole.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "server/base/file.h"

namespace strata::agent {

struct SpoolEvent {
  int64_t seq = 0;
  std::string type;
  std::string line;  // without its end
};

// Thread-compatible.
class Spool {
 public:
  // Nothing is opened yet; the file may come later.
  explicit Spool(std::string path);

  // Reads on to the end of the file, or until 4 MiB wait. Events up to acknowledged() go straight to TakeAcknowledged.
  // DATA_LOSS: a line is no event, or numbers have a gap; names file and line. The same error from then on.
  absl::Status Read();

  // The next unacknowledged events, at most `events` and `bytes` (but one at least, if there is one).
  std::vector<std::string> Batch(size_t events, size_t bytes) const;

  // All up to `seq` are committed. A lower number than before: reads again from there (the coordinator's word counts).
  void Acknowledge(int64_t seq);
  int64_t acknowledged() const { return acknowledged_; }

  // Events that have become acknowledged since the last call, each once, in order; only types that lead to something:
  // checkpoint, artifact, rendezvous and the last events.
  std::vector<SpoolEvent> TakeAcknowledged();

  // seconds_per_update of the progress events since the last call; 0 before a first update.
  std::vector<double> TakePaces() { return std::exchange(paces_, {}); }

  // An event has come of an update that has ended.
  bool past_start() const { return past_start_; }

  int64_t waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t last_seq() const { return last_seq_; }
  // finished, stopped or failed, whole line; empty if none has been read.
  const std::string& last_word() const { return last_word_; }
  // Bytes of a last line that has no end.
  int64_t torn_bytes() const { return static_cast<int64_t>(partial_.size()); }
  const std::string& path() const { return path_; }

 private:
  absl::Status TakeLine(std::string line);

  std::string path_;
  base::FileDescriptor file_;
  int64_t offset_ = 0;
  int64_t last_seq_ = 0;
  int64_t acknowledged_ = 0;
  int64_t handed_out_ = 0;  // last seq that went to fresh_
  size_t waiting_bytes_ = 0;
  std::string partial_;
  std::string last_word_;
  std::deque<SpoolEvent> waiting_;
  std::vector<SpoolEvent> fresh_;
  std::vector<double> paces_;
  bool past_start_ = false;
  absl::Status broken_;
};

}  // namespace strata::agent
