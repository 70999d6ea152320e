// Fetches what the monitor shows, with two threads: one holds the stream WatchExperiment (what changed, as it changes),
// one makes unary calls. How often, at most:
//   workers              every 2 s on their page, else every 5 s
//   experiments          every 2 s on their page, else never; the newest 200
//   measurements         of the trial in view only: its list of series every 2 s, and of those that grew the new points
//   log                  of the job in view only: once a second
//   main scores          once for each evaluation that has succeeded, at most 20 in a quarter of a second
//   a finished experiment  its states every 3 s
// While the coordinator is away these calls fail at once and are made again at the same pace; what is known is kept.
#pragma once

#include <atomic>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "client/connection.h"
#include "client/top/knowledge.h"
#include "client/top/view.h"
#include "server/base/mutex.h"

namespace strata::client::top {

// What is in view, and so worth fetching.
struct Wish {
  std::string experiment;  // full name; empty: none
  std::string measured;    // job whose measurements are shown; empty: none
  std::string log;         // job whose log is shown; empty: none
  bool experiments = false, workers = false;
  bool operator==(const Wish&) const = default;
};
Wish WishOf(const View& view, const Knowledge& known);

// Thread-safe. Destruction ends the calls that are under way.
class Poller {
 public:
  explicit Poller(const Connection& connection);
  ~Poller();

  void Want(const Wish& wish);
  void Do(const Command& command);
  // Rises with every change of the knowledge.
  uint64_t version() const { return version_; }
  // Calls look(const Knowledge&) while nothing changes.
  template <typename F>
  void Look(F look) const {
    base::MutexLock lock(mutex_);
    look(static_cast<const Knowledge&>(known_));
  }

 private:
  class Call;
  // One unary call that ~Poller can end. Keeps `away_since` and `refused` true to what came of it.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                               Stub& stub, const Request& request);
  // `sentence`: what the status means to a person.
  void NoteAnswer(const grpc::Status& status, const absl::Status& sentence);
  void Watch();
  grpc::Status Stream(const std::string& experiment);
  void Take(const std::string& experiment, const v1::WatchExperimentResponse& message);
  bool ChangedAfterDone(const std::string& experiment);
  void Fetch();
  void FetchDue(const Wish& wish);
  void FetchWorkers();
  void FetchExperiments();
  void FetchMeasured(const std::string& job);
  void FetchScalars(const std::string& job, const std::string& stored, const v1::Series& series);
  void FetchVectors(const std::string& job, const std::string& stored, const v1::Series& series);
  bool FetchLog(const std::string& job);  // true: there may be more at once
  void FetchScores();
  void Execute(const Command& command);
  absl::StatusOr<std::string> Cancel(const Command& command);
  absl::StatusOr<std::string> Retry(const std::string& trial);
  void Say(const std::string& notice);
  // The job that holds what was stored of `job`: of the trial that was trained for this one, where there is one.
  std::string StoredWith(const std::string& job);
  bool Due(const std::string& what, absl::Duration every);
  bool Pause(const std::string& experiment, absl::Duration time);

  const Connection& connection_;
  mutable base::Mutex mutex_;
  base::CondVar changed_;
  Knowledge known_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, size_t> index_ ABSL_GUARDED_BY(mutex_);  // trial -> place in known_.trials
  Wish wish_ ABSL_GUARDED_BY(mutex_);
  std::deque<Command> commands_ ABSL_GUARDED_BY(mutex_);
  std::set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);  // under way
  grpc::ClientContext* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool again_ ABSL_GUARDED_BY(mutex_) = false;  // watch a finished experiment once more
  std::atomic<uint64_t> version_{1};
  // Of the fetching thread alone:
  std::map<std::string, absl::Time> last_;  // call -> when it was made last
  std::string scored_of_;                   // experiment whose scores these are
  std::map<std::string, int> scored_;       // evaluation -> its attempts when it was asked for
  std::map<std::string, int> seen_;         // series of the job in view -> update of its last point
  std::string measured_;                    // job in view
  int measured_attempts_ = 0;
  std::string log_;
  int64_t log_offset_ = 0;
  int log_attempt_ = 0;
  std::thread watcher_, fetcher_;
};

}  // namespace strata::client::top
