// Inside of the controller: one step. Lives for one call of Controller::Step; collects what changed. Each On() checks
// everything before it changes anything, so an error leaves the state as it was.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "server/core/controller.h"
#include "server/core/job.h"

namespace strata::core {

class ControllerRules {
 public:
  ControllerRules(Controller& controller, absl::Time now) : c_(controller), now_(now) {}

  // Grants the grace period if the clock jumped. Comes before every event.
  void NoteTime();

  // controller_jobs.cc: what people ask for.
  absl::Status On(const JobsSubmitted& event);
  absl::Status On(const CancelRequested& event);
  absl::Status On(const RetryRequested& event);
  absl::Status On(const HoldRequested& event);
  absl::Status On(const ReleaseRequested& event);
  // controller_workers.cc: workers come, call, go.
  absl::Status On(const WorkerRegistered& event);
  absl::Status On(const WorkerSynchronized& event);
  absl::Status On(const WorkerLeft& event);
  absl::Status On(const Ticked& event);
  // controller_gangs.cc: attempts that are moved, or go on with more ranks; what gangs tell after their end.
  absl::Status On(const CordonRequested& event);
  absl::Status On(const UncordonRequested& event);
  absl::Status On(const DrainRequested& event);
  // controller_attempts.cc: what attempts report.
  absl::Status On(const RankStarted& event);
  absl::Status On(const RendezvousOpened& event);
  absl::Status On(const CheckpointAcknowledged& event);
  absl::Status On(const AttemptCompleted& event);

  // Places what can be placed, if anything happened that could make room or need it; returns all that changed.
  Effects Finish();

 private:
  using AttemptKey = Controller::AttemptKey;

  // Rows that the effects will hold.
  Job& Changed(const std::string& job);
  Attempt& Changed(const AttemptKey& attempt);
  Worker& ChangedWorker(const std::string& worker);
  void Touch(const std::string& worker);  // its assignments changed

  void Grace(bool backwards);
  void LoseWorker(const std::string& worker, WorkerState state, std::string_view why);

  // Moves a job by the table; the event must apply. Keeps the queue and the end time right.
  void Move(Job& job, JobEvent event);
  void Begin(const Placement& placement);
  // Ends a live attempt; its slots are free, and every worker that has ranks of it is woken to end them.
  void End(const AttemptKey& key, std::string_view outcome, std::string_view cause, std::string_view message);
  // The attempt failed. A job that is CANCELLING becomes CANCELLED; others are queued again if that can help, or
  // FAILED. `worker`: where. `mends`: another attempt can do better, though not every one with this cause could.
  void Fail(const AttemptKey& key, const std::string& worker, std::string_view outcome, std::string_view cause,
            const std::string& message, bool mends = false);
  // The attempt ended through nobody's fault: the job waits for another.
  void Requeue(const AttemptKey& key, const std::string& message);
  void CancelEnded(const AttemptKey& key);
  // After `upstream` ended otherwise than SUCCEEDED: those that wait for it become CANCELLED, and those that wait for
  // them.
  void CancelDependents(const Job& upstream, bool trained_to_end);

  // Its ranks are to stop with a checkpoint; once all have, the job waits for another attempt.
  void Stop(const AttemptKey& key, const std::string& reason);
  // Stops what can go on with more ranks, where nobody waits for the slots.
  void Grow();
  bool AnyoneWaitsFor(int32_t slots) const;
  // Stops elastic attempts on a worker that takes no more, where they can go on elsewhere.
  void MoveElastic(const std::string& worker);

  // A worker's part of a gang that has ended already: where its ranks stood, and a better reason than rank_lost.
  // False: nothing is waited for from it.
  bool Tell(const AttemptCompleted& event);
  void Note(Attempt& attempt, const AttemptCompleted& event);
  void Amend(Attempt& attempt, const AttemptCompleted& event);
  // A gang has ended: its message compares where the ranks stood, as soon as all have told.
  void Await(const AttemptKey& key);
  void Compare(const AttemptKey& key);
  // The attempt failed on this worker, so far as is known: its job's next one goes elsewhere.
  static void MarkFailed(Attempt& attempt, const std::string& worker);
  void StopWaiting();  // for gangs that took too long to tell

  // Releases this worker's part of an attempt.
  void Close(Attempt& attempt, const std::string& worker);
  void Place();

  Controller& c_;
  const absl::Time now_;
  bool room_changed_ = false, ticked_ = false;
  std::set<std::string> jobs_, workers_, erased_workers_, wake_;
  std::set<AttemptKey> attempts_;
  std::vector<Attempt> replaced_;  // ended and followed by another in this very step
};

}  // namespace strata::core
