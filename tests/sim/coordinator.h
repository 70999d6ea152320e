// The shell around the controller, as the real service has one: takes requests, steps, stores, and only then answers.
// Requests that come close together are stored in one transaction. It can crash at any moment, and storing can fail.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/core/controller.h"
#include "tests/sim/disk.h"
#include "tests/sim/ledger.h"
#include "tests/sim/loop.h"
#include "tests/sim/random.h"

namespace strata::sim {

template <class T>
using Done = std::function<void(absl::StatusOr<T>)>;

struct JobDraft {
  core::JobKind kind = core::JobKind::kTrain;
  int32_t priority = 0;
  int32_t ranks = 1;
  int32_t min_ranks = 0, global_batch = 0;
  int32_t max_attempts = 5;
  int upstream = -1;  // index into the same submit
  bool accepts_diverged = false;
  Facts facts;
};

// A line of a spool.
struct SpoolEvent {
  enum class Kind { kStarted, kRendezvous, kMeasured, kCheckpoint, kEnded };
  Kind kind = Kind::kStarted;
  int32_t update = 0;
  std::string text;  // rendezvous: address; ended: outcome
  std::string cause;
  bool to_end = true;
};

struct Assignment {
  core::WorkerAssignment base;
  int32_t resume_from = -1;
  Facts facts;
};

struct Registration {
  std::string session;
  std::vector<AttemptKey> stale;
  std::map<RankKey, int64_t> cursors;
};
struct Synchronized {
  int64_t generation = 0;
  std::vector<Assignment> assignments;
  bool leave = false;
};
struct Completion {
  std::string job;
  int32_t attempt = 0;
  std::string outcome, cause;
  bool to_end = true;
  std::vector<core::RankPosition> positions;
};
struct Nothing {};

class Coordinator {
 public:
  using Trace = std::function<void(const std::string&)>;
  Coordinator(core::ControllerOptions options, Loop& loop, Random& random, Disk& disk, Ledger& ledger, Trace trace);

  void Start();
  void Crash();
  void FailNextStore() { store_fails_ = true; }
  bool up() const { return controller_ != nullptr; }
  int64_t steps() const { return steps_; }

  // What people ask. `done` is called once what was done is stored, and never if it crashes before.
  void Submit(const std::string& request, const std::vector<JobDraft>& drafts, Done<std::vector<std::string>> done);
  void Cancel(const std::string& job, Done<Nothing> done);
  void Retry(const std::string& job, Done<Nothing> done);
  void Hold(const std::string& job, Done<Nothing> done);
  void Unhold(const std::string& job, Done<Nothing> done);
  void Cordon(const std::string& worker, Done<Nothing> done);
  void Uncordon(const std::string& worker, Done<Nothing> done);
  void Drain(const std::string& worker, Done<Nothing> done);
  // What agents ask.
  void Register(core::Worker worker, const std::vector<AttemptKey>& running, Done<Registration> done);
  void Synchronize(const core::WorkerSynchronized& request, Done<Synchronized> done);
  void Report(const std::string& worker, const std::string& session, const RankKey& rank, int64_t first,
              const std::vector<SpoolEvent>& events, Done<int64_t> done);
  void Checkpoint(const std::string& job, int32_t attempt, int32_t update, Done<Nothing> done);
  void Complete(const std::string& worker, const std::string& session, const Completion& completion,
                Done<Nothing> done);
  void Leave(const std::string& worker, const std::string& session, Done<Nothing> done);

 private:
  absl::Status Step(const core::Event& event, bool retry = false);
  absl::Status CheckCaller(const std::string& worker, const std::string& session, const std::string& job,
                           int32_t attempt);
  void Store(const RankKey& rank, int64_t seq, const SpoolEvent& event);
  // Steps, and once that is stored, `kept` notes the promise and the caller hears.
  void Promise(const core::Event& event, std::function<void()> kept, Done<Nothing> done);
  template <class T>
  void Answer(Done<T> done, absl::StatusOr<T> answer);
  void Release(std::function<void()> reply);
  void Flush();
  void Tick();
  void Load();
  void CheckStored() const;

  const core::ControllerOptions options_;
  Loop& loop_;
  Random& random_;
  Disk& disk_;
  Ledger& ledger_;
  const Trace trace_;
  std::unique_ptr<core::Controller> controller_;
  int64_t life_ = 0;  // rises with every crash: what an earlier life had in hand is nobody's
  Transaction batch_;
  std::vector<std::function<void()>> replies_;
  bool flushing_ = false, store_fails_ = false;
  std::map<RankKey, int64_t> cursors_;
  std::map<std::string, std::vector<std::string>> requests_;
  int64_t next_id_ = 1, sessions_ = 0, steps_ = 0;
};

}  // namespace strata::sim
