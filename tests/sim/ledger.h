// What must hold, kept apart from what is tested: the ledger hears what was promised to the outside and what the
// coordinator did, and throws a Violation as soon as the two do not fit.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/core/controller.h"
#include "tests/sim/disk.h"
#include "tests/sim/loop.h"

namespace strata::sim {

class Violation : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Ledger {
 public:
  Ledger(const Loop& loop, absl::Duration lease, absl::Duration grow_after)
      : loop_(loop), lease_(lease), grow_after_(grow_after) {}

  // The coordinator (re)starts from the disk: what was in memory is forgotten, what was promised is not.
  void Restarted(const Disk& disk);
  // After every step, before its effects are stored. `retried`: the step was a person's retry.
  void Stepped(const core::State& state, const core::Effects& effects, bool retried);
  // A write of this attempt was let through.
  void Wrote(const std::string& job, int32_t attempt) const;
  void Heard(const std::string& worker);               // its leases were renewed
  void Retried(const std::string& job);                // a person's retry ends what a cancellation promised
  void NothingMayFail() { nothing_may_fail_ = true; }  // in a seed where the machines only sleep
  void SmallJump(absl::Duration by) { small_jumps_ += by; }

  // Promises that have reached the outside.
  void SubmitAcknowledged(const std::string& request, const std::vector<std::string>& jobs);
  void CancelAcknowledged(const std::string& job);
  void HoldAcknowledged(const std::string& job, bool held);
  void CordonAcknowledged(const std::string& worker, bool cordoned);
  void EventsAcknowledged(const RankKey& rank, int64_t seq);
  void MeasurementAcknowledged(const MeasurementKey& key) { measured_.insert(key); }

  // Does the disk keep every promise? Holds at any time.
  void CheckDisk(const Disk& disk) const;
  // The queue must have drained: every job as it should be at the end.
  void CheckDrained(const Disk& disk) const;

 private:
  void CheckSlots(const core::State& state) const;
  void CheckJob(const core::State& state, const core::Job& job, bool retried);
  void CheckAttempt(const core::State& state, const core::Attempt& attempt, bool retried);
  void CheckBegun(const core::State& state, const core::Attempt& attempt, bool retried);
  void CheckTurn(const core::State& state, const core::Job& begun) const;  // nobody was passed over
  void CheckGrowth(const core::State& state, const core::Attempt& attempt) const;
  void CheckLost(const core::Attempt& attempt, const core::State& state) const;
  static void CheckHistory(const Disk& disk, const core::Job& job, const Facts& facts);

  const Loop& loop_;
  const absl::Duration lease_, grow_after_;
  absl::Duration restart_, small_jumps_, jumps_at_restart_;
  std::map<std::string, core::Job> jobs_;       // as of the last step
  std::map<AttemptKey, std::string> outcomes_;  // of every attempt, "" while it lives
  std::set<AttemptKey> live_;
  // Of those that began in this life of the coordinator: when, in awake time and small jumps; and where.
  struct Begun {
    absl::Duration at, jumps;
    std::vector<std::pair<std::string, int32_t>> slots;
    bool stopping = false;
  };
  std::map<AttemptKey, Begun> begun_;
  std::map<std::string, int32_t> failures_;                                 // since the last retry by hand
  std::map<std::string, std::pair<absl::Duration, absl::Duration>> heard_;  // awake time, and small jumps until then
  std::map<std::string, std::string> owner_;                                // job to the request that made it
  std::map<std::string, std::vector<std::string>> submitted_;
  bool nothing_may_fail_ = false;
  std::set<std::string> cancelled_, held_, cordoned_;
  std::map<RankKey, int64_t> acknowledged_;
  std::set<MeasurementKey> measured_;
};

}  // namespace strata::sim
