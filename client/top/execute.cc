// What a person asked the monitor to do, done.
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/format.h"
#include "client/names.h"
#include "client/top/poller_call.h"

namespace strata::client::top {

absl::StatusOr<std::string> Poller::Cancel(const Command& command) {
  if (command.kind == Command::kCancelExperiment) {
    v1::CancelExperimentRequest request;
    request.set_name(command.name);
    const auto experiment = Ask(&v1::ExperimentService::Stub::CancelExperiment, connection_.experiments(), request);
    if (!experiment.ok()) return experiment.status();
    return absl::StrCat(ShortName(command.name), ": ", StateCounts(*experiment), ".");
  }
  v1::GetTrialRequest get;
  get.set_name(command.name);
  const auto trial = Ask(&v1::TrialService::Stub::GetTrial, connection_.trials(), get);
  if (!trial.ok()) return trial.status();
  std::string done;
  for (const v1::Job& job : trial->jobs()) {
    if (IsFinal(job.state())) continue;
    v1::CancelJobRequest request;
    request.set_name(job.name());
    const auto cancelled = Ask(&v1::JobService::Stub::CancelJob, connection_.jobs(), request);
    if (absl::IsFailedPrecondition(cancelled.status())) continue;  // it has ended meanwhile
    if (!cancelled.ok()) return cancelled.status();
    absl::StrAppend(&done, done.empty() ? "" : ", ", LastPart(job.name()), " is ", StateName(cancelled->state()));
  }
  return absl::StrCat(ShortName(command.name),
                      done.empty() ? " has ended: nothing was left to cancel." : ": " + done + ".");
}

absl::StatusOr<std::string> Poller::Retry(const std::string& name) {
  v1::GetTrialRequest get;
  get.set_name(name);
  const auto trial = Ask(&v1::TrialService::Stub::GetTrial, connection_.trials(), get);
  if (!trial.ok()) return trial.status();
  const v1::Job* job = MainJob(*trial);
  for (const v1::Job& other : trial->jobs()) {  // training comes first; where it stands, the evaluation that failed
    const bool lost = other.state() == v1::JOB_STATE_FAILED || other.state() == v1::JOB_STATE_CANCELLED;
    if (job != nullptr && job->state() == v1::JOB_STATE_SUCCEEDED && lost) job = &other;
  }
  if (job == nullptr) return absl::StrCat(ShortName(name), " has no job to retry.");
  v1::RetryJobRequest request;
  request.set_name(job->name());
  const auto retried = Ask(&v1::JobService::Stub::RetryJob, connection_.jobs(), request);
  if (!retried.ok()) return retried.status();
  return absl::StrCat(ShortName(job->name()), " is ", StateName(retried->state()), " again.");
}

void Poller::Execute(const Command& command) {
  const auto done = command.kind == Command::kRetryTrial ? Retry(command.name) : Cancel(command);
  base::MutexLock lock(mutex_);
  known_.notice = done.ok() ? *done : std::string(done.status().message());
  known_.notice_time = absl::Now();
  again_ = true;
  ++version_;
  changed_.NotifyAll();
}

}  // namespace strata::client::top
