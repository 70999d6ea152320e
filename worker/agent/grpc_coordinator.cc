#include "worker/agent/grpc_coordinator.h"

#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/file.h"
#include "server/base/rpc/channel.h"
#include "server/base/rpc/credentials.h"
#include "strata/v1/artifact_service.grpc.pb.h"
#include "strata/v1/dataset_service.grpc.pb.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace strata::agent {
namespace {

constexpr int kProtocol = 1;
constexpr absl::Duration kBetweenDiagnoses = absl::Seconds(10);
constexpr auto kCallTime = std::chrono::seconds(5);     // short: a fence must be obeyed within 10 s
constexpr auto kStreamTime = std::chrono::minutes(30);  // a download goes on where it was cut off

void SetTime(grpc::ClientContext& context, std::chrono::milliseconds time) {
  context.set_deadline(std::chrono::system_clock::now() + time);
}

void SetAttempt(const AttemptId& id, v1::AttemptRef* ref) {
  ref->set_job(id.job);
  ref->set_attempt(id.attempt);
}

Assignment FromProto(const v1::Assignment& proto) {
  Assignment a;
  a.id = {proto.attempt().job(), proto.attempt().attempt()};
  a.kind = proto.kind() == v1::JOB_KIND_EVALUATE ? JobKind::kEvaluate
           : proto.kind() == v1::JOB_KIND_PROBE  ? JobKind::kProbe
                                                 : JobKind::kTrain;
  for (const v1::RankSlot& rank : proto.ranks()) a.ranks.push_back({rank.rank(), rank.slot()});
  a.world_size = std::max(1, proto.world_size());
  a.spec_json = proto.spec_json();
  a.dataset = proto.dataset();
  a.dataset_digest = proto.dataset_digest();
  a.stop = proto.stop();
  a.checkpoint = proto.checkpoint();
  a.checkpoint_from.artifact = proto.checkpoint_artifact();
  a.checkpoint_from.sha256 = proto.checkpoint_sha256();
  a.checkpoint_from.file_name = proto.checkpoint_file_name();
  for (const v1::CheckpointRef& ref : proto.averaged()) {
    a.averaged.push_back({ref.artifact(), ref.sha256(), ref.file_name()});
  }
  a.evaluation = proto.evaluation();
  a.rendezvous = proto.rendezvous();
  return a;
}

}  // namespace

struct GrpcCoordinator::Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel)
      : workers(channel), artifacts(channel), datasets(channel) {}
  v1::WorkerService::Stub workers;
  v1::ArtifactService::Stub artifacts;
  v1::DatasetService::Stub datasets;
};

GrpcCoordinator::GrpcCoordinator(std::string address, std::string address_file, Introduction introduction,
                                 const Security& security)
    : address_(std::move(address)),
      address_file_(std::move(address_file)),
      introduction_(std::move(introduction)),
      tls_(security.tls),
      credentials_(base::ChannelCredentials(
          security.tls, security.token_file.empty() ? nullptr : base::TokenFromFile(security.token_file))) {}

GrpcCoordinator::~GrpcCoordinator() = default;

std::shared_ptr<GrpcCoordinator::Stubs> GrpcCoordinator::Connect() {
  base::MutexLock lock(mutex_);
  if (!look_again_ && stubs_ != nullptr) return stubs_;
  std::string address = address_;
  if (!address_file_.empty()) {
    const auto text = base::ReadFile(address_file_);
    address = text.ok() ? std::string(absl::StripAsciiWhitespace(*text)) : connected_to_;
  }
  look_again_ = false;
  if (address == connected_to_ && stubs_ != nullptr) return stubs_;
  if (address.empty()) return nullptr;
  connected_to_ = address;
  stubs_ = std::make_shared<Stubs>(base::OpenChannel(address, credentials_));
  return stubs_;
}

std::string GrpcCoordinator::session() const {
  base::MutexLock lock(mutex_);
  return session_;
}

absl::Status GrpcCoordinator::NoCoordinator() const {
  return absl::UnavailableError(
      absl::StrCat("No coordinator's address in ", address_file_, ". Start one with 'strata up'."));
}

std::string GrpcCoordinator::WhyUnreachable(const std::string& address) {
  const absl::Time now = absl::Now();
  {
    base::MutexLock lock(mutex_);
    if (now - diagnosed_ < kBetweenDiagnoses) return diagnosis_;
    diagnosed_ = now;  // the others go by what was found before
  }
  std::string why = base::DiagnoseTls(address, tls_, now);
  base::MutexLock lock(mutex_);
  if (!why.empty() && why != diagnosis_) spdlog::error("{}", why);
  diagnosis_ = why;
  return why;
}

absl::Status GrpcCoordinator::Convert(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    std::string address;
    {
      base::MutexLock lock(mutex_);
      look_again_ = true;
      address = connected_to_;
    }
    const std::string why = WhyUnreachable(address);
    return absl::UnavailableError(
        why.empty() ? absl::StrCat("No coordinator at ", address, " (", status.error_message(), ")") : why);
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::StatusOr<Registration> GrpcCoordinator::Register(const std::vector<AttemptId>& attempts) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::RegisterWorkerRequest request;
  request.set_name("workers/" + introduction_.name);
  request.set_worker_uid(introduction_.worker_uid);
  for (const Slot& slot : introduction_.slots) {
    if (introduction_.offered && !introduction_.offered(slot)) continue;
    v1::Slot* proto = request.add_slots();
    proto->set_index(slot.index);
    proto->set_device(slot.device);
    proto->set_cores(FormatCores(slot.cores));
    proto->set_uuid(slot.uuid);
    proto->set_memory_bytes(slot.memory_bytes);
  }
  if (request.slots().empty()) return absl::UnavailableError("every GPU of this worker is lost; see the log above");
  request.set_version(introduction_.version);
  request.set_protocol(kProtocol);
  request.set_host(introduction_.host);
  request.set_advertise_address(introduction_.advertise_address);
  request.set_metrics_address(introduction_.metrics_address);
  for (const AttemptId& id : attempts) SetAttempt(id, request.add_attempts());
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::RegisterWorkerResponse response;
  const grpc::Status status = stubs->workers.RegisterWorker(&context, request, &response);
  if (!status.ok()) return Convert(status);
  {
    base::MutexLock lock(mutex_);
    session_ = response.session();
  }
  Registration registration;
  const auto& lease = response.lease_duration();
  registration.lease =
      std::max(absl::Seconds(lease.seconds()) + absl::Nanoseconds(lease.nanos()), absl::Milliseconds(300));
  for (const v1::AttemptCursor& cursor : response.cursors()) {
    registration.cursors.push_back(
        {{cursor.attempt().job(), cursor.attempt().attempt()}, cursor.rank(), cursor.acknowledged_seq()});
  }
  for (const v1::AttemptRef& ref : response.stale()) registration.stale.push_back({ref.job(), ref.attempt()});
  return registration;
}

absl::StatusOr<Assignments> GrpcCoordinator::Synchronize(int64_t generation, absl::Duration wait,
                                                         const std::vector<AttemptId>& running) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::SynchronizeRequest request;
  request.set_name("workers/" + introduction_.name);
  request.set_generation(generation);
  request.mutable_wait()->set_seconds(absl::ToInt64Seconds(wait));
  request.mutable_wait()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(wait % absl::Seconds(1))));
  for (const AttemptId& id : running) SetAttempt(id, request.add_running());
  grpc::ClientContext context;
  SetTime(context, absl::ToChronoMilliseconds(wait) + kCallTime);
  {
    base::MutexLock lock(mutex_);
    request.set_session(session_);
    waiting_ = &context;
  }
  v1::SynchronizeResponse response;
  const grpc::Status status = stubs->workers.Synchronize(&context, request, &response);
  {
    base::MutexLock lock(mutex_);
    waiting_ = nullptr;
  }
  if (!status.ok()) return Convert(status);
  Assignments assignments{response.generation(), {}, response.leave()};
  for (const v1::Assignment& proto : response.assignments()) assignments.list.push_back(FromProto(proto));
  return assignments;
}

void GrpcCoordinator::Interrupt() {
  base::MutexLock lock(mutex_);
  if (waiting_ != nullptr) waiting_->TryCancel();
}

absl::StatusOr<int64_t> GrpcCoordinator::ReportEvents(const AttemptId& id, int32_t rank,
                                                      const std::vector<std::string>& events) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::ReportEventsRequest request;
  request.set_worker("workers/" + introduction_.name);
  request.set_session(session());
  if (request.session().empty()) return absl::UnavailableError("not registered yet");
  SetAttempt(id, request.mutable_attempt());
  request.set_rank(rank);
  for (const std::string& event : events) request.add_events(event);
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::ReportEventsResponse response;
  const grpc::Status status = stubs->workers.ReportEvents(&context, request, &response);
  if (!status.ok()) return Convert(status);
  return response.acknowledged_seq();
}

absl::Status GrpcCoordinator::CompleteAttempt(const AttemptId& id, const Completion& completion) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::CompleteAttemptRequest request;
  request.set_worker("workers/" + introduction_.name);
  request.set_session(session());
  if (request.session().empty()) return absl::UnavailableError("not registered yet");
  SetAttempt(id, request.mutable_attempt());
  request.set_outcome(completion.outcome);
  request.set_cause(completion.cause);
  request.set_message(completion.message);
  for (const RankPosition& position : completion.positions) {
    v1::RankPosition* proto = request.add_positions();
    proto->set_rank(position.rank);
    proto->set_sequence(position.sequence);
    proto->set_name(position.name);
  }
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::CompleteAttemptResponse response;
  return Convert(stubs->workers.CompleteAttempt(&context, request, &response));
}

absl::StatusOr<int64_t> GrpcCoordinator::AppendLog(const AttemptId& id, int64_t offset, const std::string& text) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::AppendLogRequest request;
  request.set_worker("workers/" + introduction_.name);
  request.set_session(session());
  if (request.session().empty()) return absl::UnavailableError("not registered yet");
  SetAttempt(id, request.mutable_attempt());
  request.set_offset(offset);
  request.set_text(text);
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::AppendLogResponse response;
  const grpc::Status status = stubs->workers.AppendLog(&context, request, &response);
  if (!status.ok()) return Convert(status);
  return response.offset();
}

absl::Status GrpcCoordinator::Deregister() {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::DeregisterWorkerRequest request;
  request.set_name("workers/" + introduction_.name);
  request.set_session(session());
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::DeregisterWorkerResponse response;
  return Convert(stubs->workers.DeregisterWorker(&context, request, &response));
}

absl::StatusOr<DatasetInfo> GrpcCoordinator::GetDataset(const std::string& name) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::GetDatasetRequest request;
  request.set_name(name);
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::Dataset response;
  const grpc::Status status = stubs->datasets.GetDataset(&context, request, &response);
  if (!status.ok()) return Convert(status);
  return DatasetInfo{response.digest(), response.manifest()};
}

namespace {

// Hands a stream's pieces to `sink`. The sink's error, if it had one, is the result.
template <typename Reader, typename Response>
absl::StatusOr<grpc::Status> Drain(grpc::ClientContext& context, Reader& reader, Response& response,
                                   const ByteSink& sink) {
  absl::Status taken;
  while (taken.ok() && reader.Read(&response)) taken = sink(response.data());
  if (taken.ok()) return reader.Finish();
  context.TryCancel();
  while (reader.Read(&response)) {
  }
  reader.Finish();
  return taken;
}

}  // namespace

absl::Status GrpcCoordinator::ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                                              const ByteSink& sink) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::ReadDatasetFileRequest request;
  request.set_name(name);
  request.set_path(path);
  request.set_offset(offset);
  grpc::ClientContext context;
  SetTime(context, kStreamTime);
  v1::ReadDatasetFileResponse response;
  const auto reader = stubs->datasets.ReadDatasetFile(&context, request);
  const auto status = Drain(context, *reader, response, sink);
  return status.ok() ? Convert(*status) : status.status();
}

absl::Status GrpcCoordinator::ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::ReadArtifactRequest request;
  request.set_name(name);
  request.set_offset(offset);
  grpc::ClientContext context;
  SetTime(context, kStreamTime);
  v1::ReadArtifactResponse response;
  const auto reader = stubs->artifacts.ReadArtifact(&context, request);
  const auto status = Drain(context, *reader, response, sink);
  return status.ok() ? Convert(*status) : status.status();
}

absl::StatusOr<Upload> GrpcCoordinator::StartUpload(const AttemptId& id, const ArtifactFile& file) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::StartUploadRequest request;
  request.set_job(id.job);
  request.set_attempt(id.attempt);
  request.set_kind(file.kind);
  request.set_sha256(file.sha256);
  request.set_bytes(file.bytes);
  request.set_update(file.update);
  request.set_file_name(file.file_name);
  grpc::ClientContext context;
  SetTime(context, kCallTime);
  v1::StartUploadResponse response;
  const grpc::Status status = stubs->artifacts.StartUpload(&context, request, &response);
  if (!status.ok()) return Convert(status);
  return Upload{response.upload_id(), response.offset(), response.has_artifact()};
}

absl::StatusOr<int64_t> GrpcCoordinator::UploadChunk(const std::string& upload, int64_t offset, std::string_view data) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::UploadChunkRequest request;
  request.set_upload_id(upload);
  request.set_offset(offset);
  request.set_data(data.data(), data.size());
  request.set_xxh3(XXH3_64bits(data.data(), data.size()));
  grpc::ClientContext context;
  SetTime(context, std::chrono::seconds(30));
  v1::UploadChunkResponse response;
  const grpc::Status status = stubs->artifacts.UploadChunk(&context, request, &response);
  if (!status.ok()) return Convert(status);
  return response.offset();
}

absl::Status GrpcCoordinator::FinishUpload(const std::string& upload) {
  const auto stubs = Connect();
  if (stubs == nullptr) return NoCoordinator();
  v1::FinishUploadRequest request;
  request.set_upload_id(upload);
  grpc::ClientContext context;
  SetTime(context, std::chrono::minutes(1));  // it may check a large file piece by piece, none longer than half of this
  v1::Artifact response;
  return Convert(stubs->artifacts.FinishUpload(&context, request, &response));
}

}  // namespace strata::agent
