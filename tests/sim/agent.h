// An agent as the contract has it: registers, synchronises, starts and stops trainers, relays their spools, completes
// attempts. What is on its disk (uid, spools) survives its crash, and so do its trainers; what is in its memory does
// not.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "tests/sim/network.h"
#include "tests/sim/trainers.h"

namespace strata::sim {

class Agent {
 public:
  // `device` of its slots: a model of GPU, or empty for shares of cores.
  Agent(std::string name, int32_t slots, std::string device, Loop& loop, Random& random, Network& network,
        Trainers& trainers, Coordinator::Trace trace);

  void Start();
  void Crash();         // the agent's process only
  void CrashMachine();  // its trainers too; the disk stays
  void LoseMachine();   // the disk too: what comes back under this name is another worker
  void ShutDown();      // gracefully: trainers write checkpoints, attempts are completed as stopped, then it signs off
  bool up() const { return up_; }
  const std::string& name() const { return name_; }

 private:
  struct Work {
    AttemptKey key;
    Assignment assignment;
    std::map<int32_t, std::shared_ptr<Rank>> ranks;  // started ones
    std::map<int32_t, bool> reporting;
    int64_t scanned = 0;  // events of rank 0 looked at for checkpoints
    std::vector<int32_t> to_upload;
    bool stop = false, uploading = false, completing = false;
  };
  using WorkPtr = std::shared_ptr<Work>;

  void Tick();
  void Register();
  void Synchronize();
  void Apply(const Synchronized& answer);
  void Begin(const WorkPtr& work);
  void Relay(const WorkPtr& work);
  void ReportRank(const WorkPtr& work, int32_t number);
  void Upload(const WorkPtr& work);
  void Complete(const WorkPtr& work);
  void SignOff();
  void Drop(const AttemptKey& key);
  void Failed(const absl::Status& status, const AttemptKey& key);
  Completion Outcome(const Work& work) const;
  void Tell(const Work& work);  // where the ranks of a gang stood that was ended elsewhere
  // A callback that does nothing once the agent has crashed since.
  template <class T>
  Done<T> IfStill(Done<T> done) {
    return [this, life = life_, done = std::move(done)](absl::StatusOr<T> answer) {
      if (life == life_) done(std::move(answer));
    };
  }

  const std::string name_;
  const int32_t slots_;
  const std::string device_;
  Loop& loop_;
  Random& random_;
  Network& network_;
  Trainers& trainers_;
  const Coordinator::Trace trace_;
  // On disk.
  std::string uid_;
  int machines_ = 0;
  std::map<AttemptKey, WorkPtr> works_;
  // In memory.
  bool up_ = false, registering_ = false, synchronizing_ = false, leaving_ = false, signing_off_ = false;
  int64_t life_ = 0, generation_ = 0;
  std::string session_;
  std::set<AttemptKey> ended_;  // not begun again, though an answer that was under way may still list them
};

}  // namespace strata::sim
