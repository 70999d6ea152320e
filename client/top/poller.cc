#include "client/top/poller.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/format.h"
#include "client/names.h"
#include "client/top/poller_call.h"

namespace strata::client::top {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(250);
constexpr absl::Duration kAgain = absl::Seconds(1);      // after a stream has broken
constexpr absl::Duration kAfterDone = absl::Seconds(3);  // between looks at a finished experiment
constexpr absl::Duration kRefused = absl::Seconds(5);    // after a refusal

}  // namespace

Wish WishOf(const View& view, const Knowledge& known) {
  Wish wish;
  wish.experiment = view.experiment;
  wish.experiments = view.page == Page::kExperiments;
  wish.workers = view.page == Page::kWorkers;
  if (view.page == Page::kTrial) {
    const v1::Trial* trial = known.Find(view.trial);
    const v1::Job* job = trial == nullptr ? nullptr : MainJob(*trial);
    if (job != nullptr) wish.measured = job->name();
  }
  if (view.page == Page::kLogs) wish.log = LogJob(view, known);
  return wish;
}

Poller::Poller(const Connection& connection) : connection_(connection) {
  known_.address = connection.address();
  watcher_ = std::thread([this] { Watch(); });
  fetcher_ = std::thread([this] { Fetch(); });
}

Poller::~Poller() {
  {
    base::MutexLock lock(mutex_);
    ended_ = true;
    for (grpc::ClientContext* call : calls_) call->TryCancel();
    changed_.NotifyAll();
  }
  watcher_.join();
  fetcher_.join();
}

void Poller::Want(const Wish& wish) {
  base::MutexLock lock(mutex_);
  if (wish == wish_) return;
  if (wish.experiment != wish_.experiment) {
    known_.experiment.Clear();
    known_.trials.clear();
    index_.clear();
    known_.scores.clear();
    if (stream_ != nullptr) stream_->TryCancel();
  }
  wish_ = wish;
  ++version_;
  changed_.NotifyAll();
}

void Poller::Do(const Command& command) {
  base::MutexLock lock(mutex_);
  commands_.push_back(command);
  changed_.NotifyAll();
}

void Poller::Say(const std::string& notice) {
  base::MutexLock lock(mutex_);
  known_.notice = notice;
  known_.notice_time = absl::Now();
  ++version_;
}

void Poller::NoteAnswer(const grpc::Status& status, const absl::Status& sentence) {
  if (status.error_code() == grpc::StatusCode::CANCELLED) return;
  // A token that has ended, or TLS that does not come about, mends itself no more than a coordinator that is away.
  const bool refused = absl::IsUnauthenticated(sentence) ||
                       (status.error_code() == grpc::StatusCode::UNAVAILABLE && absl::IsFailedPrecondition(sentence));
  const bool away = !refused && (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
                                 status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  base::MutexLock lock(mutex_);
  if (away != known_.away()) {
    known_.away_since = away ? absl::Now() : absl::InfiniteFuture();
    ++version_;
  }
  const std::string why = refused ? std::string(sentence.message()) : "";
  if (why == known_.refused || away) return;
  if (why.empty() || known_.refused.empty()) known_.refused_since = refused ? absl::Now() : absl::InfiniteFuture();
  known_.refused = why;
  ++version_;
}

void Poller::Take(const std::string& experiment, const v1::WatchExperimentResponse& message) {
  base::MutexLock lock(mutex_);
  if (wish_.experiment != experiment) return;
  known_.away_since = absl::InfiniteFuture();
  known_.experiment = message.experiment();
  for (const v1::Trial& trial : message.trials()) {
    const auto [at, added] = index_.emplace(trial.name(), known_.trials.size());
    if (added) {
      known_.trials.push_back(trial);
    } else {
      known_.trials[at->second] = trial;
    }
  }
  ++version_;
}

grpc::Status Poller::Stream(const std::string& experiment) {
  Call call(*this);
  {
    base::MutexLock lock(mutex_);
    if (wish_.experiment != experiment) return grpc::Status::CANCELLED;
    stream_ = call.context();
    again_ = false;
  }
  v1::WatchExperimentRequest request;
  request.set_name(experiment);
  const auto stream = connection_.experiments().WatchExperiment(call.context(), request);
  v1::WatchExperimentResponse message;
  while (stream->Read(&message)) Take(experiment, message);
  const grpc::Status status = stream->Finish();
  base::MutexLock lock(mutex_);
  stream_ = nullptr;
  return status;
}

// Whether a job of a finished experiment was retried or cancelled since.
bool Poller::ChangedAfterDone(const std::string& experiment) {
  v1::GetExperimentRequest request;
  request.set_name(experiment);
  const auto now = Ask(&v1::ExperimentService::Stub::GetExperiment, connection_.experiments(), request);
  if (!now.ok()) return false;
  base::MutexLock lock(mutex_);
  return !now->done() || StateCounts(*now) != StateCounts(known_.experiment);
}

// True as soon as there is cause to go on: another experiment, a command, the end. False when the time is up.
bool Poller::Pause(const std::string& experiment, absl::Duration time) {
  const absl::Time until = absl::Now() + time;
  base::MutexLock lock(mutex_);
  while (!ended_ && !again_ && wish_.experiment == experiment) {
    const absl::Duration left = until - absl::Now();
    if (left <= absl::ZeroDuration()) return false;
    changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(left));
  }
  return true;
}

void Poller::Watch() {
  for (;;) {
    std::string experiment;
    {
      base::MutexLock lock(mutex_);
      while (!ended_ && wish_.experiment.empty()) changed_.Wait(mutex_);
      if (ended_) return;
      experiment = wish_.experiment;
    }
    const grpc::Status status = Stream(experiment);
    const absl::Status told = connection_.Explain(status);
    NoteAnswer(status, told);
    if (status.ok()) {  // it is done; look now and then whether it still is
      while (!Pause(experiment, kAfterDone) && !ChangedAfterDone(experiment)) {
      }
    } else if (status.error_code() == grpc::StatusCode::UNAVAILABLE ||
               status.error_code() == grpc::StatusCode::CANCELLED) {
      Pause(experiment, kAgain);
    } else {
      if (!absl::IsUnauthenticated(told)) Say(std::string(told.message()));  // else it stands on the screen
      Pause(experiment, kRefused);
    }
  }
}

bool Poller::Due(const std::string& what, absl::Duration every) {
  absl::Time& last = last_.emplace(what, absl::InfinitePast()).first->second;
  const absl::Time now = absl::Now();
  if (now - last < every) return false;
  last = now;
  return true;
}

void Poller::Fetch() {
  for (;;) {
    Wish wish;
    std::deque<Command> commands;
    {
      base::MutexLock lock(mutex_);
      if (ended_) return;
      wish = wish_;
      commands.swap(commands_);
    }
    for (const Command& command : commands) Execute(command);
    FetchDue(wish);
    base::MutexLock lock(mutex_);
    if (!ended_ && commands_.empty() && wish == wish_) changed_.WaitFor(mutex_, absl::ToChronoNanoseconds(kTick));
  }
}

void Poller::FetchDue(const Wish& wish) {
  if (Due("workers", absl::Seconds(wish.workers ? 2 : 5))) FetchWorkers();
  if (wish.experiments && Due("experiments", absl::Seconds(2))) FetchExperiments();
  if (!wish.measured.empty() && (wish.measured != measured_ || Due("measured", absl::Seconds(2))))
    FetchMeasured(wish.measured);
  if (!wish.log.empty() && (wish.log != log_ || Due("log", absl::Seconds(1)))) {
    for (int i = 0; i < 20 && FetchLog(wish.log);) ++i;
  }
  if (wish.experiment != scored_of_) {
    scored_of_ = wish.experiment;
    scored_.clear();
  }
  FetchScores();
}

}  // namespace strata::client::top
