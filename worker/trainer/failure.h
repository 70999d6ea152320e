// How a trainer fails: a cause that the contract names (docs/TRAINER.md) and a sentence to a person.
#pragma once

#include <stdexcept>
#include <string>

namespace strata::trainer {

enum class Cause {
  kOutOfMemory,
  kDataError,
  kBadSpec,
  kCheckpointCorrupt,
  kDiskFull,
  kRendezvousFailed,
  kRankLost,
  kInternal
};

// "out_of_memory", "data_error", "bad_spec", "checkpoint_corrupt", "disk_full", "rendezvous_failed", "rank_lost",
// "internal".
const char* CauseName(Cause cause);

// Exit status of the program: 2 for wrong usage or spec, 1 for the rest.
int ExitStatus(Cause cause);

class Failure : public std::runtime_error {
 public:
  Failure(Cause cause, const std::string& message) : std::runtime_error(message), cause_(cause) {}
  Cause cause() const { return cause_; }

 private:
  Cause cause_;
};

// What `error` means: a Failure is itself; no memory, a full disk, data that is damaged and a spec that no model can be
// built of are told apart; the rest is internal.
Failure ToFailure(const std::exception& error);

}  // namespace strata::trainer
