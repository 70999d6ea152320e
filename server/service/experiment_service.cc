#include "server/service/experiment_service.h"

#include <google/protobuf/util/json_util.h>

#include <limits>
#include <map>

#include "absl/strings/str_cat.h"
#include "server/service/audit_note.h"
#include "server/service/estimate.h"
#include "server/service/names.h"
#include "server/service/rpc.h"
#include "server/service/submission.h"
#include "server/service/write_experiment.h"

namespace strata::service {
namespace {

// Longest that a watcher stays without a look: figures in memory change without anything being stored.
constexpr absl::Duration kLook = absl::Seconds(1);
// And the shortest: a busy experiment is not shown more often.
constexpr absl::Duration kRest = absl::Milliseconds(150);
constexpr size_t kLargestPlan = 15 << 20;  // below the limit of a message

std::string SpecToJson(const v1::ExperimentSpec& spec) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(spec, &json, options);
  return json;
}

}  // namespace

absl::Status WatcherSeat::Refusal() const {
  return absl::ResourceExhaustedError(absl::StrCat(
      "There are ", kMostWatchers,
      " watchers already, which is the most that this coordinator serves. End one, or ask without watching."));
}

grpc::Status ExperimentService::CreateExperiment(grpc::ServerContext*, const v1::CreateExperimentRequest* request,
                                                 v1::CreateExperimentResponse* response) {
  const std::string& id = request->request_id();
  if (request->validate_only()) return ToGrpc(Create(*request, *response));
  if (id.empty() || id.size() > 128) {
    return ToGrpc(absl::InvalidArgumentError(
        "request_id: give one, a UUID, of at most 128 characters; it makes repeating the call safe."));
  }
  {
    // Two calls of one request: the second waits for the first and finds its experiment.
    base::MutexLock lock(mutex_);
    while (!creating_.insert(id).second) created_.Wait(mutex_);
  }
  const absl::Status status = Create(*request, *response);
  base::MutexLock lock(mutex_);
  creating_.erase(id);
  created_.NotifyAll();
  return ToGrpc(status);
}

namespace {

// What the plan refers to may have been deleted since it was made.
absl::Status CheckStillThere(const core::Controller& controller, const Submission& submission) {
  const auto gone = [&](const std::string& job) { return !job.empty() && !controller.state().jobs.contains(job); };
  for (const PlannedTrial& trial : submission.trials) {
    std::string missing = trial.extension && gone(trial.extension->job) ? trial.extension->job : "";
    for (const PlannedJob& job : trial.jobs) {
      if (gone(job.existing)) missing = job.existing;
    }
    if (missing.empty()) continue;
    return absl::AbortedError(absl::StrCat(missing, ", which the experiment refers to, was deleted just now. Submit it again."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ExperimentService::Create(const v1::CreateExperimentRequest& request,
                                       v1::CreateExperimentResponse& response) {
  if (!request.validate_only()) {
    const auto earlier = coordinator_.store().FindRequest(request.request_id());
    if (!earlier.ok()) return earlier.status();
    if (earlier->has_value()) {
      auto experiment = views_.Experiment(**earlier);
      if (!experiment.ok()) return experiment.status();
      *response.mutable_experiment() = *std::move(experiment);
      response.mutable_estimate()->set_trials(response.experiment().trials());
      response.mutable_estimate()->set_basis("this request was made before; its experiment is shown");
      return absl::OkStatus();
    }
  }
  auto submission = PlanSubmission(request.spec(), {.force = request.force()}, registry_json_, coordinator_.store());
  if (!submission.ok()) return submission.status();
  auto estimate = EstimateCost(*submission, coordinator_.store());
  if (!estimate.ok()) return estimate.status();
  *response.mutable_estimate() = *std::move(estimate);
  if (absl::Status status = CheckFeasible(*submission, coordinator_); !status.ok()) return status;
  if (request.validate_only()) {
    response.mutable_experiment()->set_name(absl::StrCat("experiments/", request.spec().experiment()));
    *response.mutable_experiment()->mutable_spec() = request.spec();
    response.mutable_experiment()->set_trials(static_cast<int32_t>(submission->trials.size()));
    return absl::OkStatus();
  }
  std::string name;
  absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    if (absl::Status status = CheckStillThere(change.controller(), *submission); !status.ok()) return status;
    const int64_t id = change.TakeExperimentId();
    name = absl::StrCat("experiments/", request.spec().experiment(), "-", id);
    NoteTarget(name);
    return WriteExperiment(change, *submission,
                           {.id = id,
                            .name = name,
                            .request_id = request.request_id(),
                            .spec_json = SpecToJson(request.spec()),
                            .create_time = change.now(),
                            .trials = static_cast<int32_t>(submission->trials.size())},
                           folder_);
  });
  if (!status.ok()) return status;
  auto experiment = views_.Experiment(name);
  if (!experiment.ok()) return experiment.status();
  *response.mutable_experiment() = *std::move(experiment);
  return absl::OkStatus();
}

absl::Status ExperimentService::Plan(const v1::PlanExperimentRequest& request, v1::PlanExperimentResponse& response) {
  const PlanOptions options{.force = request.force(), .plan_only = true};
  auto submission = PlanSubmission(request.spec(), options, registry_json_, coordinator_.store());
  if (!submission.ok()) return submission.status();
  for (PlannedTrial& planned : submission->trials) {
    v1::TrialPlan* plan = response.add_trials();
    for (const auto& [field, value] : planned.cell) {
      v1::Setting* setting = plan->add_cell();
      setting->set_field(field);
      setting->set_value(value);
    }
    *plan->mutable_spec() = std::move(planned.spec);
    plan->set_reused_from(planned.reused_from);
    if (planned.extension) plan->set_extended_from(planned.extension->source.name);
    plan->set_vocabulary(planned.vocabulary);
  }
  if (response.ByteSizeLong() > kLargestPlan) {
    return absl::ResourceExhaustedError(absl::StrCat("The plan of ", response.trials_size(),
                                                     " trials is too long for one answer. Plan a part of the grid."));
  }
  return absl::OkStatus();
}

grpc::Status ExperimentService::PlanExperiment(grpc::ServerContext*, const v1::PlanExperimentRequest* request,
                                               v1::PlanExperimentResponse* response) {
  return ToGrpc(Plan(*request, *response));
}

grpc::Status ExperimentService::GetExperiment(grpc::ServerContext*, const v1::GetExperimentRequest* request,
                                              v1::Experiment* response) {
  auto experiment = views_.Experiment(request->name());
  if (experiment.ok()) *response = *std::move(experiment);
  return ToGrpc(experiment.status());
}

grpc::Status ExperimentService::ListExperiments(grpc::ServerContext*, const v1::ListExperimentsRequest* request,
                                                v1::ListExperimentsResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto before = ReadPageNumber("experiments", request->page_token(), std::numeric_limits<int64_t>::max());
  if (!before.ok()) return ToGrpc(before.status());
  const auto rows = coordinator_.store().ListExperiments(*before, *size + 1);
  if (!rows.ok()) return ToGrpc(rows.status());
  for (const store::Experiment& row : *rows) {
    if (response->experiments_size() == *size) {
      response->set_next_page_token(PageToken("experiments", absl::StrCat(row.id + 1)));
      break;
    }
    auto experiment = views_.Experiment(row);
    if (!experiment.ok()) return ToGrpc(experiment.status());
    *response->add_experiments() = *std::move(experiment);
  }
  return grpc::Status::OK;
}

grpc::Status ExperimentService::Steer(const std::string& name, const Ask& ask, v1::Experiment* response) {
  if (const auto row = views_.FindExperiment(name); !row.ok()) return ToGrpc(row.status());
  const auto jobs = coordinator_.store().JobsOfExperiment(name);
  if (!jobs.ok()) return ToGrpc(jobs.status());
  const absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    for (const store::TrialJob& job : *jobs) {
      // A job of another experiment that this one only refers to is not this one's to steer.
      if (job.job.trial != job.trial) continue;
      const auto live = change.controller().state().jobs.find(job.job.name);
      if (live == change.controller().state().jobs.end() || core::IsFinal(live->second.state)) continue;
      if (absl::Status stepped = change.Step(ask(job.job.name)); !stepped.ok()) return stepped;
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return ToGrpc(status);
  auto experiment = views_.Experiment(name);
  if (experiment.ok()) *response = *std::move(experiment);
  return ToGrpc(experiment.status());
}

grpc::Status ExperimentService::CancelExperiment(grpc::ServerContext*, const v1::CancelExperimentRequest* request,
                                                 v1::Experiment* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::CancelRequested{job}; }, response);
}

grpc::Status ExperimentService::HoldExperiment(grpc::ServerContext*, const v1::HoldExperimentRequest* request,
                                               v1::Experiment* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::HoldRequested{job}; }, response);
}

grpc::Status ExperimentService::ReleaseExperiment(grpc::ServerContext*, const v1::ReleaseExperimentRequest* request,
                                                  v1::Experiment* response) {
  return Steer(
      request->name(), [](const std::string& job) { return core::ReleaseRequested{job}; }, response);
}

grpc::Status ExperimentService::WatchExperiment(grpc::ServerContext* context, const v1::WatchExperimentRequest* request,
                                                grpc::ServerWriter<v1::WatchExperimentResponse>* writer) {
  const WatcherSeat seat(watchers_);
  if (!seat.ok()) return ToGrpc(seat.Refusal());
  return ToGrpc(Watch(*context, request->name(), *writer));
}

absl::Status ExperimentService::Watch(grpc::ServerContext& context, const std::string& name,
                                      grpc::ServerWriter<v1::WatchExperimentResponse>& writer) {
  std::map<std::string, std::string> shown;  // what was last sent, by name
  int64_t seen = coordinator_.AwaitRelease(-1, absl::ZeroDuration());
  while (!context.IsCancelled()) {
    auto experiment = views_.Experiment(name);
    if (!experiment.ok()) return experiment.status();
    auto trials = views_.Trials(name, 0, kMostTrials);
    if (!trials.ok()) return trials.status();
    v1::WatchExperimentResponse response;
    for (v1::Trial& trial : *trials) {
      std::string bytes = trial.SerializeAsString();
      std::string& before = shown[trial.name()];
      if (bytes == before) continue;
      before = std::move(bytes);
      *response.add_trials() = std::move(trial);
    }
    std::string bytes = experiment->SerializeAsString();
    const bool changed = response.trials_size() > 0 || bytes != shown[name];
    const bool done = experiment->done();
    if (changed) {
      shown[name] = std::move(bytes);
      *response.mutable_experiment() = *std::move(experiment);
      if (!writer.Write(response)) return absl::OkStatus();
    }
    if (done) return absl::OkStatus();
    if (coordinator_.stopping())
      return absl::UnavailableError("The coordinator is shutting down. Watch again in a moment.");
    absl::SleepFor(kRest);
    seen = coordinator_.AwaitRelease(seen, kLook);
  }
  return absl::CancelledError("The watcher went away.");
}

}  // namespace strata::service
