#include "server/service/worker_service.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/spec/spec.h"
#include "server/service/convert.h"
#include "server/service/job_log.h"
#include "server/service/names.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

template <typename Refs>
std::vector<std::pair<std::string, int32_t>> Running(const Refs& refs) {
  std::vector<std::pair<std::string, int32_t>> running;
  for (const v1::AttemptRef& ref : refs) running.emplace_back(ref.job(), ref.attempt());
  return running;
}

// 0.1 of 0.1.4+c0ffee: what differs behind it works together.
std::string_view Release(std::string_view version) {
  const size_t dot = version.find('.');
  return dot == std::string_view::npos ? version : version.substr(0, version.find_first_of(".+-", dot + 1));
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  const int64_t millis = absl::ToInt64Milliseconds(duration);
  proto.set_seconds(millis / 1000);
  proto.set_nanos(static_cast<int32_t>(millis % 1000) * 1000000);
  return proto;
}

}  // namespace

absl::Status WorkerService::CheckSpeaker(const grpc::ServerContext& context, const std::string& name) const {
  const auto id = WorkerId(name);
  return id.ok() ? access_.SpeaksFor(context, *id) : id.status();
}

absl::Status WorkerService::CheckVersion(const v1::RegisterWorkerRequest& request) const {
  const bool one = request.version().empty() || version_.empty() || Release(request.version()) == Release(version_);
  if (request.protocol() == kProtocol && one) return absl::OkStatus();
  const auto named = [](const std::string& version) { return version.empty() ? "of unknown version" : version; };
  return absl::FailedPreconditionError(absl::StrCat("The agent of ", request.name(), " is Strata ", named(request.version()),
                                                    " (protocol ", request.protocol(), "), this coordinator ",
                                                    named(version_), " (protocol ", kProtocol,
                                                    "). Install the same version of both."));
}

absl::Status WorkerService::Register(const v1::RegisterWorkerRequest& request, v1::RegisterWorkerResponse& response) {
  const auto id = WorkerId(request.name());
  if (!id.ok()) return id.status();
  if (absl::Status status = CheckVersion(request); !status.ok()) return status;
  if (request.slots_size() > 1024) return absl::InvalidArgumentError("slots: a worker has at most 1024.");
  core::WorkerRegistered event;
  event.worker = {.name = *id,
                  .uid = request.worker_uid(),
                  .session = base::RandomHex(8),
                  .version = request.version(),
                  .host = request.host(),
                  .advertise_address = request.advertise_address(),
                  .metrics_address = request.metrics_address()};
  for (const v1::Slot& slot : request.slots())
    event.worker.slots.push_back({slot.index(), slot.device(), slot.cores(), slot.uuid(), slot.memory_bytes()});
  event.running = Running(request.attempts());
  response.set_session(event.worker.session);
  *response.mutable_lease_duration() = ToProto(coordinator_.options().lease_duration);
  return coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    if (absl::Status status = change.Step(event); !status.ok()) return status;
    for (const v1::AttemptRef& ref : request.attempts()) {
      const auto found = change.controller().state().attempts.find({ref.job(), ref.attempt()});
      bool here = false;
      if (change.controller().CheckAttempt(ref.job(), ref.attempt()).ok()) {
        for (const core::RankPlace& place : found->second.places) {
          if (place.worker != *id || place.done) continue;
          here = true;
          const auto seq = change.EventCursor(ref.job(), ref.attempt(), place.rank);
          if (!seq.ok()) return seq.status();
          v1::AttemptCursor* cursor = response.add_cursors();
          *cursor->mutable_attempt() = ref;
          cursor->set_rank(place.rank);
          cursor->set_acknowledged_seq(*seq);
        }
      }
      if (!here) *response.add_stale() = ref;
    }
    return absl::OkStatus();
  });
}

grpc::Status WorkerService::RegisterWorker(grpc::ServerContext* context, const v1::RegisterWorkerRequest* request,
                                           v1::RegisterWorkerResponse* response) {
  if (absl::Status status = CheckSpeaker(*context, request->name()); !status.ok()) return ToGrpc(status);
  return ToGrpc(Register(*request, *response));
}

absl::StatusOr<store::Trial> WorkerService::TrialOf(const std::string& name) {
  {
    base::MutexLock lock(mutex_);
    const auto known = trials_.find(name);
    if (known != trials_.end()) return known->second;
  }
  auto trial = coordinator_.store().FindTrial(name);
  if (!trial.ok()) return trial.status();
  if (!trial->has_value()) return absl::InternalError(absl::StrCat("The trial ", name, " of a job is not stored."));
  // One that was submitted to an older coordinator lacks the fields that are new since: they stand at their defaults.
  if (auto spec = base::FromJson((*trial)->spec_json); spec.ok() && base::ApplyDefaults(*spec).ok()) {
    if (const auto whole = base::ToCanonicalJson(*spec); whole.ok()) (*trial)->spec_json = *whole;
  }
  base::MutexLock lock(mutex_);
  if (trials_.size() > 1000) trials_.clear();
  trials_[name] = **trial;
  return **trial;
}

absl::StatusOr<v1::Assignment> WorkerService::Describe(const core::WorkerAssignment& assignment, const core::Job& job) {
  v1::Assignment proto;
  proto.mutable_attempt()->set_job(assignment.job);
  proto.mutable_attempt()->set_attempt(assignment.attempt);
  proto.set_kind(service::ToProto(job.kind));
  for (const core::RankPlace& place : assignment.ranks) {
    v1::RankSlot* rank = proto.add_ranks();
    rank->set_rank(place.rank);
    rank->set_slot(place.slot);
  }
  proto.set_world_size(assignment.world_size);
  proto.set_stop(assignment.stop);
  proto.set_checkpoint(assignment.checkpoint);
  proto.set_rendezvous(assignment.rendezvous);
  const auto trial = TrialOf(job.trial);
  if (!trial.ok()) return trial.status();
  proto.set_spec_json(trial->spec_json);
  proto.set_dataset(absl::StrCat("datasets/", trial->dataset));
  proto.set_dataset_digest(trial->dataset_digest);
  // The other ranks get weights and state from rank 0, so files are needed on its worker only.
  const bool first = std::any_of(assignment.ranks.begin(), assignment.ranks.end(),
                                 [](const core::RankPlace& place) { return place.rank == 0; });
  v1::EvaluateSpec score;
  if (job.kind == core::JobKind::kEvaluate) {
    const std::string leaf = LeafOf(job.name);
    const int index = std::atoi(leaf.substr(leaf.rfind('-') + 1).c_str()) - 1;
    proto.set_evaluation(index);
    const auto spec = base::FromJson(trial->spec_json);
    if (!spec.ok()) return spec.status();
    if (index >= 0 && index < spec->evaluate_size()) score = spec->evaluate(index);
  }
  if (!first) return proto;
  if (absl::Status status = AddCheckpoints(job, score, proto); !status.ok()) return status;
  return proto;
}

absl::Status WorkerService::AddCheckpoints(const core::Job& job, const v1::EvaluateSpec& score,
                                           v1::Assignment& assignment) {
  std::string weights = score.checkpoint();
  if (weights == "average") {
    const auto epochs = checkpoints_.EpochsOf(job, score.average_last());
    if (!epochs.ok()) return epochs.status();
    for (const store::Artifact& epoch : *epochs) {
      v1::CheckpointRef* ref = assignment.add_averaged();
      ref->set_artifact(epoch.name);
      ref->set_sha256(epoch.sha256);
      ref->set_file_name(epoch.file_name);
    }
    if (!epochs->empty()) return absl::OkStatus();
    weights = "final";  // it ended within its first epoch
  }
  const auto start = checkpoints_.StartOf(job, weights);
  if (!start.ok()) return start.status();
  if (start->has_value()) {
    assignment.set_checkpoint_artifact((*start)->name);
    assignment.set_checkpoint_sha256((*start)->sha256);
    assignment.set_checkpoint_file_name((*start)->file_name);
  }
  return absl::OkStatus();
}

absl::Status WorkerService::Sync(const v1::SynchronizeRequest& request, v1::SynchronizeResponse& response) {
  const auto id = WorkerId(request.name());
  if (!id.ok()) return id.status();
  absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    return change.Step(
        core::WorkerSynchronized{*id, request.session(), Running(request.running()), request.generation()});
  });
  if (!status.ok()) return status;
  const absl::Duration asked = absl::Seconds(request.wait().seconds()) + absl::Nanoseconds(request.wait().nanos());
  const absl::Duration most = coordinator_.options().lease_duration / 3;
  coordinator_.AwaitAssignments(*id, request.generation(), std::clamp(asked, absl::ZeroDuration(), most));
  std::vector<std::pair<core::WorkerAssignment, core::Job>> assigned;
  status = coordinator_.Look([&](const core::Controller& controller) -> absl::Status {
    if (absl::Status session = controller.CheckSession(*id, request.session()); !session.ok()) return session;
    response.set_generation(controller.Generation(*id));
    response.set_leave(controller.Leaves(*id));
    for (core::WorkerAssignment& assignment : controller.Assignments(*id)) {
      const core::Job& job = controller.state().jobs.at(assignment.job);
      assigned.emplace_back(std::move(assignment), job);
    }
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  for (const auto& [assignment, job] : assigned) {
    auto proto = Describe(assignment, job);
    if (!proto.ok()) return proto.status();
    *response.add_assignments() = *std::move(proto);
  }
  return absl::OkStatus();
}

grpc::Status WorkerService::Synchronize(grpc::ServerContext* context, const v1::SynchronizeRequest* request,
                                        v1::SynchronizeResponse* response) {
  if (absl::Status status = CheckSpeaker(*context, request->name()); !status.ok()) return ToGrpc(status);
  return ToGrpc(Sync(*request, *response));
}

absl::StatusOr<std::optional<double>> WorkerService::CostOf(const core::AttemptCompleted& event) {
  if (event.outcome != "succeeded" || LeafOf(event.job) != "train") return std::nullopt;
  const auto trial = coordinator_.store().FindTrial(ParentOf(event.job));
  if (!trial.ok()) return trial.status();
  const auto attempts = coordinator_.store().AttemptsOfJob(event.job);
  if (!attempts.ok()) return attempts.status();
  for (const store::AttemptRecord& record : *attempts) {
    if (record.attempt.number != event.attempt || !trial->has_value()) continue;
    const int32_t updates = (*trial)->updates - record.resumed_from.value_or(0);
    if (updates < 1) return std::nullopt;
    const auto slots = static_cast<double>(record.attempt.places.size());
    return slots * absl::ToDoubleSeconds(coordinator_.now() - record.attempt.start_time) / updates;
  }
  return std::nullopt;
}

absl::Status WorkerService::Complete(const v1::CompleteAttemptRequest& request) {
  const auto id = WorkerId(request.worker());
  if (!id.ok()) return id.status();
  const std::string& job = request.attempt().job();
  core::AttemptCompleted event{.job = job,
                               .attempt = request.attempt().attempt(),
                               .worker = *id,
                               .outcome = request.outcome(),
                               .cause = request.cause(),
                               .message = request.message()};
  for (const v1::RankPosition& position : request.positions()) {
    event.positions.push_back({position.rank(), position.sequence(), position.name().substr(0, kLongestCollective)});
  }
  if (event.outcome == "diverged") {
    // Its events are stored before it is completed: the trial's row says how far it trained.
    const auto trial = coordinator_.store().FindTrial(ParentOf(job));
    if (!trial.ok()) return trial.status();
    event.trained_to_end = trial->has_value() && (*trial)->updates_done >= (*trial)->updates;
  }
  if (event.cause == "checkpoint_corrupt") {
    auto checkpoint = checkpoints_.AfterDamage(job, event.attempt);
    if (!checkpoint.ok()) return checkpoint.status();
    event.fall_back_to = *checkpoint;
  }
  const auto cost = CostOf(event);
  if (!cost.ok()) return cost.status();
  return coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    if (absl::Status status = change.controller().CheckSession(*id, request.session()); !status.ok()) return status;
    if (absl::Status status = change.Step(event); !status.ok()) return status;
    if (cost->has_value()) change.Write(store::UpdateTrial{.trial = ParentOf(job), .seconds_per_update = **cost});
    return absl::OkStatus();
  });
}

grpc::Status WorkerService::CompleteAttempt(grpc::ServerContext* context, const v1::CompleteAttemptRequest* request,
                                            v1::CompleteAttemptResponse*) {
  if (absl::Status status = CheckSpeaker(*context, request->worker()); !status.ok()) return ToGrpc(status);
  return ToGrpc(Complete(*request));
}

absl::Status WorkerService::Append(const v1::AppendLogRequest& request, v1::AppendLogResponse& response) {
  const auto id = WorkerId(request.worker());
  if (!id.ok()) return id.status();
  if (request.text().size() > kLongestLogPiece) {
    return absl::InvalidArgumentError(
        absl::StrCat("text: ", request.text().size(), " bytes. Send at most ", kLongestLogPiece, " at once."));
  }
  const std::string& job = request.attempt().job();
  absl::Status status = coordinator_.Look([&](const core::Controller& controller) -> absl::Status {
    if (absl::Status session = controller.CheckSession(*id, request.session()); !session.ok()) return session;
    if (absl::Status live = controller.CheckAttempt(job, request.attempt().attempt()); !live.ok()) return live;
    const auto& places = controller.state().attempts.at({job, request.attempt().attempt()}).places;
    if (std::any_of(places.begin(), places.end(), [&](const core::RankPlace& place) { return place.worker == *id; }))
      return absl::OkStatus();
    return absl::PermissionDeniedError(absl::StrCat("No rank of this attempt is on ", request.worker(), "."));
  });
  if (!status.ok()) return status;
  base::MutexLock lock(log_mutex_);
  const auto length = AppendJobLog(folder_.log(job, request.attempt().attempt()), request.offset(), request.text());
  if (!length.ok()) return length.status();
  response.set_offset(*length);
  return absl::OkStatus();
}

grpc::Status WorkerService::AppendLog(grpc::ServerContext* context, const v1::AppendLogRequest* request,
                                      v1::AppendLogResponse* response) {
  if (absl::Status status = CheckSpeaker(*context, request->worker()); !status.ok()) return ToGrpc(status);
  return ToGrpc(Append(*request, *response));
}

grpc::Status WorkerService::DeregisterWorker(grpc::ServerContext* context, const v1::DeregisterWorkerRequest* request,
                                             v1::DeregisterWorkerResponse*) {
  if (absl::Status status = CheckSpeaker(*context, request->name()); !status.ok()) return ToGrpc(status);
  const auto id = WorkerId(request->name());
  if (!id.ok()) return ToGrpc(id.status());
  return ToGrpc(coordinator_.Update([&](Coordinator::Change& change) {
    return change.Step(core::WorkerLeft{*id, request->session()});
  }));
}

}  // namespace strata::service
