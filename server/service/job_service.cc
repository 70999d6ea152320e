#include <limits>

#include "absl/strings/str_cat.h"
#include "server/service/experiment_service.h"
#include "server/service/job_log.h"
#include "server/service/names.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr int64_t kLogPiece = 1 << 20;

}  // namespace

grpc::Status TrialService::GetTrial(grpc::ServerContext*, const v1::GetTrialRequest* request, v1::Trial* response) {
  auto trial = views_.Trial(request->name());
  if (trial.ok()) *response = *std::move(trial);
  return ToGrpc(trial.status());
}

grpc::Status TrialService::ListTrials(grpc::ServerContext*, const v1::ListTrialsRequest* request,
                                      v1::ListTrialsResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto position = ReadPageNumber(request->parent(), request->page_token(), 0);
  if (!position.ok()) return ToGrpc(position.status());
  if (const auto row = views_.FindExperiment(request->parent()); !row.ok()) return ToGrpc(row.status());
  auto trials = views_.Trials(request->parent(), static_cast<int32_t>(*position), *size + 1);
  if (!trials.ok()) return ToGrpc(trials.status());
  for (v1::Trial& trial : *trials) {
    if (response->trials_size() == *size) {
      response->set_next_page_token(PageToken(request->parent(), absl::StrCat(*position + *size)));
      break;
    }
    *response->add_trials() = std::move(trial);
  }
  return grpc::Status::OK;
}

grpc::Status JobService::GetJob(grpc::ServerContext*, const v1::GetJobRequest* request, v1::Job* response) {
  auto job = views_.Job(request->name());
  if (job.ok()) *response = *std::move(job);
  return ToGrpc(job.status());
}

grpc::Status JobService::ListJobs(grpc::ServerContext*, const v1::ListJobsRequest* request,
                                  v1::ListJobsResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const bool all = request->parent() == "experiments/-/trials/-";
  const auto from = ReadPageNumber(request->parent(), request->page_token(), 0);
  if (!from.ok()) return ToGrpc(from.status());
  if (const auto ids = ParseName(request->parent(), "experiments/*/trials/*"); !ids.ok()) return ToGrpc(ids.status());
  if (!all) {
    auto jobs = views_.JobsOfTrial(request->parent());
    if (!jobs.ok()) return ToGrpc(jobs.status());
    for (int64_t i = *from; i < static_cast<int64_t>(jobs->size()); ++i) {
      if (response->jobs_size() == *size) {
        response->set_next_page_token(PageToken(request->parent(), absl::StrCat(i)));
        break;
      }
      *response->add_jobs() = std::move((*jobs)[static_cast<size_t>(i)]);
    }
    return grpc::Status::OK;
  }
  auto rows = coordinator_.store().ListJobs(*from, *size + 1);
  if (!rows.ok()) return ToGrpc(rows.status());
  if (static_cast<int>(rows->size()) > *size) {
    response->set_next_page_token(PageToken(request->parent(), absl::StrCat(rows->back().order)));
    rows->pop_back();
  }
  auto jobs = views_.Jobs(*rows);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  for (v1::Job& job : *jobs) *response->add_jobs() = std::move(job);
  return grpc::Status::OK;
}

grpc::Status JobService::Steer(const std::string& name, const std::function<core::Event(const std::string& job)>& ask,
                               v1::Job* response) {
  const auto row = views_.FindJob(name);
  if (!row.ok()) return ToGrpc(row.status());
  const std::string& own = row->name;
  if (own != name && row->trial != ParentOf(name)) {
    return ToGrpc(absl::FailedPreconditionError(
        absl::StrCat(name, " is shown from an earlier experiment, as ", own,
                     ". Name that one, or submit the trial with --force to train it anew.")));
  }
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) { return change.Step(ask(own)); });
  if (!status.ok()) return ToGrpc(status);
  auto job = views_.Job(own);
  if (job.ok()) *response = *std::move(job);
  return ToGrpc(job.status());
}

grpc::Status JobService::CancelJob(grpc::ServerContext*, const v1::CancelJobRequest* request, v1::Job* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::CancelRequested{job}; }, response);
}

grpc::Status JobService::RetryJob(grpc::ServerContext*, const v1::RetryJobRequest* request, v1::Job* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::RetryRequested{job}; }, response);
}

grpc::Status JobService::HoldJob(grpc::ServerContext*, const v1::HoldJobRequest* request, v1::Job* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::HoldRequested{job}; }, response);
}

grpc::Status JobService::ReleaseJob(grpc::ServerContext*, const v1::ReleaseJobRequest* request, v1::Job* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::ReleaseRequested{job}; }, response);
}

absl::Status JobService::Log(const v1::GetJobLogRequest& request, v1::GetJobLogResponse& response) {
  const auto job = views_.FindJob(request.name());
  if (!job.ok()) return job.status();
  const int32_t number = request.attempt() == 0 ? job->attempts : request.attempt();
  if (number < 0 || number > job->attempts || request.offset() < 0) {
    return absl::NotFoundError(
        absl::StrCat(request.name(), " has no attempt ", number, "; it has had ", job->attempts, "."));
  }
  response.set_attempt(number);
  response.set_next_offset(request.offset());
  if (number == 0) {
    response.set_complete(core::IsFinal(job->state));
    return absl::OkStatus();
  }
  // Is it over? Asked before reading, so that what comes in between is not missed.
  const auto attempts = coordinator_.store().AttemptsOfJob(job->name);
  if (!attempts.ok()) return attempts.status();
  bool over = true;
  for (const store::AttemptRecord& record : *attempts) {
    if (record.attempt.number == number) over = !record.attempt.live();
  }
  auto piece = ReadJobLog(folder_.log(job->name, number), request.offset(), kLogPiece);
  if (!piece.ok()) return piece.status();
  response.set_text(std::move(piece->text));
  response.set_next_offset(piece->next_offset);
  response.set_complete(over && piece->at_end);
  return absl::OkStatus();
}

grpc::Status JobService::GetJobLog(grpc::ServerContext*, const v1::GetJobLogRequest* request,
                                   v1::GetJobLogResponse* response) {
  return ToGrpc(Log(*request, *response));
}

}  // namespace strata::service
