#include "server/service/convert.h"

#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace strata::service {

google::protobuf::Timestamp ToProto(absl::Time time) {
  google::protobuf::Timestamp proto;
  const int64_t micros = absl::ToUnixMicros(time);
  proto.set_seconds(micros / 1000000);
  proto.set_nanos(static_cast<int32_t>(micros % 1000000) * 1000);
  return proto;
}

v1::JobState ToProto(core::JobState state) {
  switch (state) {
    case core::JobState::kQueued:
      return v1::JOB_STATE_QUEUED;
    case core::JobState::kPending:
      return v1::JOB_STATE_PENDING;
    case core::JobState::kRunning:
      return v1::JOB_STATE_RUNNING;
    case core::JobState::kCancelling:
      return v1::JOB_STATE_CANCELLING;
    case core::JobState::kSucceeded:
      return v1::JOB_STATE_SUCCEEDED;
    case core::JobState::kFailed:
      return v1::JOB_STATE_FAILED;
    case core::JobState::kCancelled:
      return v1::JOB_STATE_CANCELLED;
    case core::JobState::kDiverged:
      return v1::JOB_STATE_DIVERGED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

v1::JobKind ToProto(core::JobKind kind) {
  switch (kind) {
    case core::JobKind::kTrain:
      return v1::JOB_KIND_TRAIN;
    case core::JobKind::kEvaluate:
      return v1::JOB_KIND_EVALUATE;
    case core::JobKind::kProbe:
      return v1::JOB_KIND_PROBE;
  }
  return v1::JOB_KIND_UNSPECIFIED;
}

v1::Attempt ToProto(const store::AttemptRecord& record) {
  const core::Attempt& attempt = record.attempt;
  v1::Attempt proto;
  proto.set_number(attempt.number);
  std::set<std::string> seen;
  for (const core::RankPlace& place : attempt.places) {
    if (seen.insert(place.worker).second) proto.add_workers(absl::StrCat("workers/", place.worker));
  }
  *proto.mutable_start_time() = ToProto(attempt.start_time);
  if (attempt.end_time != absl::InfiniteFuture()) *proto.mutable_end_time() = ToProto(attempt.end_time);
  proto.set_outcome(attempt.outcome);
  proto.set_cause(attempt.cause);
  std::vector<std::string> sentences;
  if (!attempt.message.empty()) sentences.push_back(attempt.message);
  for (const std::string& warning : record.warnings) sentences.push_back(absl::StrCat("Warning: ", warning));
  proto.set_message(absl::StrJoin(sentences, " "));
  if (record.resumed_from.has_value()) proto.set_resumed_from(*record.resumed_from);
  proto.set_environment(record.environment);
  proto.set_ranks(static_cast<int32_t>(attempt.places.size()));
  return proto;
}

v1::Job ToProto(const core::Job& job) {
  v1::Job proto;
  proto.set_name(job.name);
  proto.set_kind(ToProto(job.kind));
  proto.set_state(ToProto(job.state));
  proto.set_cause(job.cause);
  proto.set_message(job.message);
  proto.set_held(job.held);
  proto.set_priority(job.priority);
  *proto.mutable_create_time() = ToProto(job.create_time);
  if (job.end_time != absl::InfiniteFuture()) *proto.mutable_end_time() = ToProto(job.end_time);
  return proto;
}

v1::Dataset ToProto(const store::Dataset& dataset) {
  v1::Dataset proto;
  proto.set_name(absl::StrCat("datasets/", dataset.name));
  proto.set_digest(dataset.digest);
  proto.set_task(dataset.task);
  proto.set_manifest(dataset.manifest);
  proto.set_bytes(dataset.bytes);
  *proto.mutable_create_time() = ToProto(dataset.create_time);
  return proto;
}

v1::Artifact ToProto(const store::Artifact& artifact) {
  v1::Artifact proto;
  proto.set_name(artifact.name);
  proto.set_kind(artifact.kind);
  proto.set_sha256(artifact.sha256);
  proto.set_bytes(artifact.bytes);
  proto.set_update(artifact.update);
  proto.set_job(artifact.job);
  proto.set_attempt(artifact.attempt);
  proto.set_file_name(artifact.file_name);
  *proto.mutable_create_time() = ToProto(artifact.create_time);
  return proto;
}

v1::Worker ToProto(const core::Worker& worker) {
  v1::Worker proto;
  proto.set_name(absl::StrCat("workers/", worker.name));
  for (const core::Slot& slot : worker.slots) {
    v1::Slot* out = proto.add_slots();
    out->set_index(slot.index);
    out->set_device(slot.device);
    out->set_cores(slot.cores);
    out->set_uuid(slot.uuid);
    out->set_memory_bytes(slot.memory_bytes);
  }
  switch (worker.state) {
    case core::WorkerState::kReady:
      proto.set_state(v1::WORKER_STATE_READY);
      break;
    case core::WorkerState::kLost:
      proto.set_state(v1::WORKER_STATE_LOST);
      break;
    case core::WorkerState::kGone:
      proto.set_state(v1::WORKER_STATE_GONE);
      break;
  }
  *proto.mutable_last_seen_time() = ToProto(worker.last_seen);
  proto.set_version(worker.version);
  proto.set_host(worker.host);
  proto.set_advertise_address(worker.advertise_address);
  proto.set_cordoned(worker.cordoned);
  proto.set_draining(worker.draining);
  proto.set_metrics_address(worker.metrics_address);
  return proto;
}

v1::Trial ToProto(const store::Trial& trial) {
  v1::Trial proto;
  proto.set_name(trial.name);
  proto.set_fingerprint(trial.fingerprint);
  proto.set_dataset_digest(trial.dataset_digest);
  proto.set_reused_from(trial.reused_from);
  proto.set_extended_from(trial.extended_from);
  proto.set_updates_done(trial.updates_done);
  proto.set_updates(trial.updates);
  if (trial.best_nll.has_value()) proto.set_best_nll(*trial.best_nll);
  if (trial.final_nll.has_value()) proto.set_final_nll(*trial.final_nll);
  if (trial.unigram_nll.has_value()) proto.set_unigram_nll(*trial.unigram_nll);
  proto.set_evidence(trial.evidence);
  proto.set_weights_sha256(trial.weights_sha256);
  return proto;
}

}  // namespace strata::service
