#include "worker/trainer/failure.h"

namespace strata::trainer {

const char* CauseName(Cause cause) {
  switch (cause) {
    case Cause::kOutOfMemory:
      return "out_of_memory";
    case Cause::kDataError:
      return "data_error";
    case Cause::kBadSpec:
      return "bad_spec";
    case Cause::kCheckpointCorrupt:
      return "checkpoint_corrupt";
    case Cause::kDiskFull:
      return "disk_full";
    case Cause::kRendezvousFailed:
      return "rendezvous_failed";
    case Cause::kRankLost:
      return "rank_lost";
    case Cause::kInternal:
      break;
  }
  return "internal";
}

int ExitStatus(Cause cause) { return cause == Cause::kBadSpec ? 2 : 1; }

}  // namespace strata::trainer
