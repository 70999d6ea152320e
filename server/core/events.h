// What happens to the coordinator's core: the events of Controller::Step. Names are what happened, in the past tense.
// Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/core/types.h"

namespace strata::core {

struct JobsSubmitted {
  std::vector<Job> jobs;  // order, state and create_time are filled in by the controller
};
struct WorkerRegistered {
  Worker worker;                                         // all but its state, times, cordon and drain
  std::vector<std::pair<std::string, int32_t>> running;  // attempts it reports
};
struct WorkerSynchronized {
  std::string worker, session;
  // Attempts that the agent knows of, from when it learned of them until their completion is answered. Not a claim: one
  // that does not live is simply not assigned, and the agent ends it.
  std::vector<std::pair<std::string, int32_t>> running;
  // Generation of assignments that the agent knew when it asked. What was assigned by then and is not listed is lost.
  int64_t generation = 0;
};
struct WorkerLeft {
  std::string worker, session;
};
struct RankStarted {
  std::string job;
  int32_t attempt = 0;
  int32_t rank = 0;
};
struct RendezvousOpened {
  std::string job;
  int32_t attempt = 0;
  std::string address;
};
struct CheckpointAcknowledged {
  std::string job;
  int32_t attempt = 0;
  int32_t update = 0;
};
// The last collective that a rank has begun.
struct RankPosition {
  int32_t rank = 0;
  int64_t sequence = 0;  // from 1; 0: none yet
  std::string name;
};
struct AttemptCompleted {
  std::string job;
  int32_t attempt = 0;
  std::string worker;
  std::string outcome;         // succeeded, diverged, stopped, failed
  bool trained_to_end = true;  // with diverged: false when it stopped at the verdict
  std::string cause, message;
  // With the cause checkpoint_corrupt: update of the checkpoint to go on from instead; -1: the beginning. Unset: there
  // is nothing to fall back to.
  std::optional<int32_t> fall_back_to;
  std::vector<RankPosition> positions;  // of this worker's ranks, of an attempt of several
};
struct CancelRequested {
  std::string job;
};
struct RetryRequested {
  std::string job;
};
// A person holds a job: no attempt of it begins until it is released.
struct HoldRequested {
  std::string job;
};
struct ReleaseRequested {
  std::string job;
};
// No further attempt begins on the worker, or again may.
struct CordonRequested {
  std::string worker;
};
struct UncordonRequested {
  std::string worker;
};
// As cordoned, and what runs there is moved away; then the worker leaves.
struct DrainRequested {
  std::string worker;
};
struct Ticked {};  // about once a second; the controller notices by itself when the clock jumped

using Event = std::variant<JobsSubmitted, WorkerRegistered, WorkerSynchronized, WorkerLeft, RankStarted,
                           RendezvousOpened, CheckpointAcknowledged, AttemptCompleted, CancelRequested, RetryRequested,
                           HoldRequested, ReleaseRequested, CordonRequested, UncordonRequested, DrainRequested, Ticked>;

}  // namespace strata::core
