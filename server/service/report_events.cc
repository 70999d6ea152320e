// WorkerService::ReportEvents: from events to rows.
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/service/names.h"
#include "server/service/rpc.h"
#include "server/service/worker_service.h"

namespace strata::service {
namespace {

// What one event of rank 0 changes of its trial's row. Only the TRAIN job's events do.
void NoteInTrial(const TrainerEvent& event, store::UpdateTrial& trial) {
  switch (event.type) {
    case EventType::kStarted:
      trial.updates_done = event.resumed_from.value_or(0);
      if (event.unigram_nll.has_value()) trial.unigram_nll = event.unigram_nll;
      break;
    case EventType::kMeasurements:
      trial.updates_done = event.update;
      for (const store::ScalarPoint& point : event.scalars) {
        if (point.series != "valid_nll" || std::isnan(point.value)) continue;
        trial.valid_nll = std::min(trial.valid_nll.value_or(point.value), point.value);
      }
      break;
    case EventType::kVerdict:
      trial.evidence = event.text;
      break;
    case EventType::kFinished:
      trial.updates_done = event.update;
      trial.best_nll = event.best_nll;
      trial.final_nll = event.final_nll;
      trial.weights_sha256 = event.weights_sha256;
      break;
    default:
      break;
  }
}

// What the events of one rank change apart from the trial's row. Measurements that follow each other become one write.
class RowsOfEvents {
 public:
  RowsOfEvents(const v1::AttemptRef& attempt, int32_t rank, bool training)
      : job_(attempt.job()), attempt_(attempt.attempt()), rank_(rank), training_(training && rank == 0) {
    trial_.trial = ParentOf(job_);
  }

  void Add(const TrainerEvent& event) {
    if (rank_ > 0) return AddOfPeer(event);
    if (training_) NoteInTrial(event, trial_);
    switch (event.type) {
      case EventType::kStarted:
        Flush();
        writes_.push_back(store::RecordStart{job_, attempt_, event.text, event.resumed_from});
        break;
      case EventType::kMeasurements:
        scalars_.points.insert(scalars_.points.end(), event.scalars.begin(), event.scalars.end());
        vectors_.points.insert(vectors_.points.end(), event.vectors.begin(), event.vectors.end());
        break;
      case EventType::kCheckpoint:
        if (event.kind == "resumable")
          writes_.push_back(store::AddCheckpointEvent{job_, attempt_, event.update, event.sha256});
        break;
      case EventType::kWarning:
        writes_.push_back(store::AddWarning{job_, attempt_, event.seq, event.message});
        break;
      default:
        break;
    }
  }

  std::vector<store::Write> Take() {
    Flush();
    if (training_) writes_.push_back(trial_);
    return std::move(writes_);
  }

 private:
  // The other ranks know nothing that rank 0 does not, but may have something to warn of.
  void AddOfPeer(const TrainerEvent& event) {
    if (event.type != EventType::kWarning) return;
    const int64_t seq = (static_cast<int64_t>(rank_) << 40) + event.seq;
    writes_.push_back(store::AddWarning{job_, attempt_, seq, absl::StrCat("Rank ", rank_, ": ", event.message)});
  }

  void Flush() {
    scalars_.job = vectors_.job = job_;
    scalars_.attempt = vectors_.attempt = attempt_;
    if (!scalars_.points.empty()) writes_.push_back(std::exchange(scalars_, {}));
    if (!vectors_.points.empty()) writes_.push_back(std::exchange(vectors_, {}));
  }

  const std::string job_;
  const int32_t attempt_;
  const int32_t rank_;
  const bool training_;
  std::vector<store::Write> writes_;
  store::PutScalars scalars_;
  store::PutVectors vectors_;
  store::UpdateTrial trial_;
};

}  // namespace

absl::Status WorkerService::Report(const v1::ReportEventsRequest& request, v1::ReportEventsResponse& response) {
  const auto ids = ParseName(request.worker(), "workers/*");
  if (!ids.ok()) return ids.status();
  if (request.events_size() > kMostEvents) {
    return absl::InvalidArgumentError(
        absl::StrCat("events: ", request.events_size(), " in one call. Send at most ", kMostEvents, "."));
  }
  const std::string& job = request.attempt().job();
  const int32_t attempt = request.attempt().attempt();
  auto events = ParseEvents({request.events().begin(), request.events().end()}, attempt, request.rank());
  if (!events.ok()) return events.status();
  const bool training = LeafOf(job) == "train";
  std::vector<TrainerEvent> fresh;
  int32_t updates = 0;
  if (const auto trial = TrialOf(ParentOf(job)); trial.ok()) updates = trial->updates;
  absl::Status status = coordinator_.Update([&](Coordinator::Change& change) -> absl::Status {
    if (absl::Status session = change.controller().CheckSession((*ids)[0], request.session()); !session.ok())
      return session;
    if (absl::Status live = change.controller().CheckAttempt(job, attempt); !live.ok()) return live;
    const core::Attempt& row = change.controller().state().attempts.at({job, attempt});
    if (request.rank() < 0 || request.rank() >= static_cast<int32_t>(row.places.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat("rank is ", request.rank(), ", but the attempt has ", row.places.size(), "."));
    }
    if (row.places[static_cast<size_t>(request.rank())].worker != (*ids)[0]) {
      return absl::PermissionDeniedError(
          absl::StrCat("Rank ", request.rank(), " of this attempt is not on ", request.worker(), "."));
    }
    const auto cursor = change.EventCursor(job, attempt, request.rank());
    if (!cursor.ok()) return cursor.status();
    response.set_acknowledged_seq(*cursor);
    if (events->empty() || events->back().seq <= *cursor) return absl::OkStatus();
    if (events->front().seq > *cursor + 1) {
      return absl::FailedPreconditionError(absl::StrCat("gap: event ", events->front().seq, " came, but ", *cursor + 1,
                                                        " is expected. Send the events from ", *cursor + 1, " on."));
    }
    for (const TrainerEvent& event : *events) {
      if (event.seq > *cursor) fresh.push_back(event);
    }
    const int64_t last = fresh.back().seq;
    change.Write(store::AdvanceCursor{job, attempt, request.rank(), *cursor, last});
    RowsOfEvents rows(request.attempt(), request.rank(), training);
    for (const TrainerEvent& event : fresh) rows.Add(event);
    for (store::Write& write : rows.Take()) change.Write(std::move(write));
    for (const TrainerEvent& event : fresh) {
      absl::Status stepped;
      if (event.type == EventType::kStarted) stepped = change.Step(core::RankStarted{job, attempt, request.rank()});
      if (event.type == EventType::kRendezvous)
        stepped = change.Step(core::RendezvousOpened{job, attempt, event.address});
      if (!stepped.ok()) return stepped;
    }
    change.MoveEventCursor(job, attempt, request.rank(), last);
    response.set_acknowledged_seq(last);
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  if (request.rank() > 0) return absl::OkStatus();
  if (!fresh.empty()) live_.Apply(job, training, updates, fresh, coordinator_.now());
  // Also for events that were stored before: the call that stored them may have died before this point.
  for (const TrainerEvent& event : *events) {
    if (event.type != EventType::kCheckpoint || event.kind != "resumable") continue;
    if (absl::Status confirmed = checkpoints_.Confirm(job, attempt, event.sha256);
        !confirmed.ok() && !absl::IsFailedPrecondition(confirmed)) {
      return confirmed;
    }
  }
  return absl::OkStatus();
}

grpc::Status WorkerService::ReportEvents(grpc::ServerContext* context, const v1::ReportEventsRequest* request,
                                         v1::ReportEventsResponse* response) {
  if (absl::Status status = CheckSpeaker(*context, request->worker()); !status.ok()) return ToGrpc(status);
  return ToGrpc(Report(*request, *response));
}

}  // namespace strata::service
