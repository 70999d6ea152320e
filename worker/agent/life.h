// The life of an attempt on one worker as a state machine, and the verdict on its end. Pure: what is seen and how much
// time has passed go in, what to do comes out.
//
//   PREPARING -> RUNNING -> DRAINING -> COMPLETING -> DONE
//                  |  ^ STOPPING, ENDING, KILLING lead to DRAINING too
//   any state, once abandoned (fenced): KILLING if a process lives, then DONE; of an attempt of several ranks how its
//   part ended is told once, nothing more is said to the coordinator
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/process.h"

namespace strata::agent {

// What should become of it. Later ones are stronger; it never goes back.
enum class Wish { kRun, kStop, kStopWithoutCheckpoint, kAbandon };

enum class Phase { kPreparing, kRunning, kStopping, kEnding, kKilling, kDraining, kCompleting, kDone };
const char* Name(Phase phase);

enum class Action { kWait, kStart, kAskToStop, kKill, kComplete, kTell, kCleanUp };

// What is seen at one look.
struct Sight {
  Wish wish = Wish::kRun;
  bool prepared = false;             // dataset, checkpoint and spec are in place
  bool preparing_failed = false;     // they cannot be, or a process could not be started
  bool processes_gone = true;        // of all ranks, groups and all
  bool rank_failed = false;          // a rank has ended badly: the others are to end too
  bool stalled = false;              // no rank makes progress
  bool to_tell = false;              // abandoned, and the coordinator compares what its workers tell
  bool events_acknowledged = false;  // all of all ranks, read to the end
  bool uploads_done = false;
  bool completion_accepted = false;
};

class Life {
 public:
  // `patience`: how long a trainer may take to write a checkpoint and end before it is killed; `grace`: how long ranks
  // may take to end whose peer has failed.
  explicit Life(absl::Duration patience, absl::Duration grace = absl::Seconds(2))
      : patience_(patience), grace_(grace) {}

  // An attempt whose processes were started before this agent.
  void Adopt() { phase_ = Phase::kRunning; }

  // `elapsed`: time since the last step. At most a second of it is counted, so that a machine that slept loses no
  // attempt.
  Action Step(const Sight& sight, absl::Duration elapsed);

  Phase phase() const { return phase_; }
  bool killed() const { return killed_; }                              // by us
  bool ending() const { return killed_ || phase_ == Phase::kEnding; }  // by us, as a peer has failed or by force

 private:
  Action Enter(Phase phase, Action action);

  absl::Duration patience_, grace_;
  absl::Duration in_phase_ = absl::ZeroDuration();
  Phase phase_ = Phase::kPreparing;
  bool killed_ = false;
};

// How one rank ended.
struct RankEnd {
  int32_t rank = 0;
  std::string last_word;  // line of its last event: finished, stopped or failed; empty if it left none
  ExitStatus exit;
  std::string log_tail;
  bool kernel_out_of_memory = false;  // the cgroup counted an oom_kill meanwhile
  bool disk_full = false;             // nothing is free where its files stand
};

// A failure of one rank, or nullopt if it ended well.
std::optional<Completion> FailureOf(const RankEnd& end);

// Whether that failure is the rank's own: not our signal's, nor a peer's that went away or that it did not meet.
// `ending`: we were ending it.
bool IsOwnFailure(const RankEnd& end, const Completion& failure, bool ending);

// How the attempt ended. `killed`: by the agent, because of `wish` or because another rank had failed.
// `first_failed`: the rank that ended badly first, or with a cause of its own while others had lost it; -1 if none.
Completion Judge(const std::vector<RankEnd>& ends, Wish wish, bool killed, int32_t first_failed);

// What a Synchronize says of the attempts known here: those to start, those to stop or to tell a rendezvous, those to
// end.
struct Reconciliation {
  std::vector<Assignment> start;
  std::vector<Assignment> update;
  std::vector<AttemptId> abandon;
};
Reconciliation Reconcile(const std::vector<Assignment>& assigned, const std::vector<AttemptId>& known, bool leaving);

}  // namespace strata::agent
