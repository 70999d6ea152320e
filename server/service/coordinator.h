// The shell around the controller: steps it under one mutex, stores what follows, and only then lets callers go on and
// agents know. The controller may run ahead of the disk; answers never do. If storing fails, the caller gets the error,
// and the controller is built anew from the store.
//
// Thread-safe. The store outlives it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/core/controller.h"
#include "server/store/store.h"

namespace strata::service {

using Clock = std::function<absl::Time()>;

class Coordinator {
 public:
  // What was stored by a change, and how many seconds that took.
  struct Stored {
    std::vector<core::Job> jobs;
    std::vector<core::Attempt> attempts;
    int64_t scalars = 0, vectors = 0;  // rows of measurements
    double seconds = 0;
  };

  // A change in the making, under the lock. What it writes is stored in one transaction, after the effects of its steps
  // in the order of the calls.
  class Change {
   public:
    const core::Controller& controller() const {
      owner_.mutex_.AssertHeld();
      return *owner_.controller_;
    }
    absl::Time now() const { return now_; }
    // Steps the controller. An error changes nothing. After a step that worked the change can only succeed or fail
    // whole with the disk: check everything else before.
    absl::Status Step(const core::Event& event);
    void Write(store::Write write);
    // Lets the controller forget jobs that have ended; the caller writes what erases them.
    void Forget(const std::vector<std::string>& jobs);
    // A job that has ended has no checkpoint any more: tried again, it begins anew. Its row is written.
    void ForgetCheckpoint(const std::string& job);
    // The next experiment's number; never given again.
    int64_t TakeExperimentId() {
      owner_.mutex_.AssertHeld();
      return owner_.next_experiment_id_++;
    }
    // Last event of a rank that is stored or queued for it; moves it.
    absl::StatusOr<int64_t> EventCursor(const std::string& job, int32_t attempt, int32_t rank);
    void MoveEventCursor(const std::string& job, int32_t attempt, int32_t rank, int64_t seq);

   private:
    friend class Coordinator;
    Change(Coordinator& owner, absl::Time now) : owner_(owner), now_(now) {}
    Coordinator& owner_;
    const absl::Time now_;
    store::Transaction transaction_;
    bool stepped_ = false;
    Stored stored_;
    std::vector<std::tuple<std::string, int32_t, int32_t>> moved_;
  };

  // `clock` tells the time; the ticker thread is started by Start.
  static absl::StatusOr<std::unique_ptr<Coordinator>> Create(store::Store& store, core::ControllerOptions options,
                                                             Clock clock);
  ~Coordinator();

  void Start();
  // Lets every waiting call return; later waits return at once.
  void Stop();

  // Runs `change` and returns once what it did is on disk. Nothing is stored if it returns an error, unless it had
  // stepped the controller before.
  absl::Status Update(const std::function<absl::Status(Change&)>& change) ABSL_LOCKS_EXCLUDED(mutex_);

  // Looks at the controller, and returns once all that was seen is on disk. Unavailable if that failed: ask again.
  absl::Status Look(const std::function<absl::Status(const core::Controller&)>& look) ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits until the worker's assignments are of another generation than `known`, or `wait` is over.
  void AwaitAssignments(const std::string& worker, int64_t known, absl::Duration wait) ABSL_LOCKS_EXCLUDED(mutex_);

  // Rises whenever something was stored. Waits until it is above `seen`, or `wait` is over; returns it.
  int64_t AwaitRelease(int64_t seen, absl::Duration wait) ABSL_LOCKS_EXCLUDED(mutex_);
  bool stopping() const ABSL_LOCKS_EXCLUDED(mutex_);

  store::Store& store() { return store_; }
  absl::Time now() const { return clock_(); }
  const core::ControllerOptions& options() const { return options_; }

  // Called after every commit, without the lock, by whichever thread made the change; add before Start.
  void Observe(std::function<void(const Stored&)> observer) { observers_.push_back(std::move(observer)); }

 private:
  Coordinator(store::Store& store, core::ControllerOptions options, Clock clock)
      : store_(store), options_(options), clock_(std::move(clock)) {}
  absl::Status Build() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Replaces the controller after a transaction of `epoch` failed, unless that is done already.
  void Rebuild(int64_t epoch) ABSL_LOCKS_EXCLUDED(mutex_);
  void Tick();

  store::Store& store_;
  const core::ControllerOptions options_;
  const Clock clock_;
  std::vector<std::function<void(const Stored&)>> observers_;

  mutable base::Mutex mutex_;
  base::CondVar stepped_;   // the controller went on, or Stop
  base::CondVar released_;  // something was stored, or Stop
  std::optional<core::Controller> controller_ ABSL_GUARDED_BY(mutex_);
  int64_t epoch_ ABSL_GUARDED_BY(mutex_) = 1;
  int64_t next_experiment_id_ ABSL_GUARDED_BY(mutex_) = 1;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;  // the store could not be read after a failure
  std::map<std::tuple<std::string, int32_t, int32_t>, int64_t> cursors_ ABSL_GUARDED_BY(mutex_);
  // The last transaction that the controller's state rests on.
  std::shared_ptr<store::Commit> last_step_ ABSL_GUARDED_BY(mutex_);
  int64_t releases_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread ticker_;
};

}  // namespace strata::service
