#include "server/service/testing.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"

namespace strata::service {
namespace {

// What these tests need of a registry.
constexpr char kRegistry[] = R"({"schemes": [{"name": "b2t"}, {"name": "post_ln"}, {"name": "pre_ln"}],
  "tasks": [{"name": "translation", "depth": "6L-6L"}], "metrics": [{"name": "bleu", "tasks": ["translation"]}]})";

}  // namespace

TestCluster::TestCluster(absl::Duration lease)
    : folder_(testing::TempDir() + "/coordinator_" + base::RandomHex(6)), lease_(lease) {
  Start();
}

TestCluster::~TestCluster() {
  server_ = nullptr;
  std::filesystem::remove_all(folder_);
}

void TestCluster::Restart() {
  server_ = nullptr;
  Start();
}

void TestCluster::Start() {
  ServerOptions options;
  options.data_dir = folder_;
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "127.0.0.1:0";
  options.registry_json = kRegistry;
  options.controller.lease_duration = lease_;
  auto server = Server::Start(options);
  if (!server.ok()) {
    ADD_FAILURE() << server.status();
    abort();
  }
  server_ = *std::move(server);
  const auto channel = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  experiments = v1::ExperimentService::NewStub(channel);
  trials = v1::TrialService::NewStub(channel);
  jobs = v1::JobService::NewStub(channel);
  metrics = v1::MetricService::NewStub(channel);
  datasets = v1::DatasetService::NewStub(channel);
  artifacts = v1::ArtifactService::NewStub(channel);
  workers = v1::WorkerService::NewStub(channel);
}

std::string TestCluster::AddDataset(const std::string& name, const std::string& content) {
  const std::string hash = base::Sha256Hex(content);
  const std::string digest = base::Sha256Hex("train-00000.shard " + hash + "\n");
  const nlohmann::json manifest = {
      {"format", 1},
      {"name", name},
      {"task", "translation"},
      {"digest", digest},
      {"vocabulary", {{"size", 4000}}},
      {"splits", {{"train", {}}, {"valid", {}}, {"test", {}}}},
      {"files", {{{"path", "train-00000.shard"}, {"bytes", content.size()}, {"sha256", hash}}}}};
  grpc::ClientContext context;
  v1::CreateDatasetRequest create;
  create.set_manifest(manifest.dump());
  v1::CreateDatasetResponse created;
  grpc::Status status = datasets->CreateDataset(&context, create, &created);
  EXPECT_TRUE(status.ok()) << status.error_message();
  if (created.pending().empty()) return digest;
  grpc::ClientContext upload_context;
  v1::UploadDatasetFileRequest upload;
  upload.set_name("datasets/" + name);
  upload.set_digest(digest);
  upload.set_path("train-00000.shard");
  upload.set_data(content);
  v1::UploadDatasetFileResponse uploaded;
  status = datasets->UploadDatasetFile(&upload_context, upload, &uploaded);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(uploaded.dataset_complete());
  return digest;
}

v1::ExperimentSpec TestCluster::Spec(const std::string& dataset) {
  v1::ExperimentSpec spec;
  spec.set_experiment("small");
  v1::TrialSpec& base = *spec.mutable_base();
  base.mutable_task()->set_kind("translation");
  base.mutable_task()->set_dataset(dataset);
  base.mutable_model()->set_scheme("b2t");
  base.mutable_model()->set_depth("3L-3L");
  base.mutable_model()->set_dim(64);
  base.mutable_model()->set_heads(4);
  base.mutable_train()->set_updates(600);
  base.mutable_train()->set_warmup(400);
  base.add_evaluate()->set_metric("bleu");
  return spec;
}

v1::Experiment TestCluster::Submit(const v1::ExperimentSpec& spec, const std::string& request_id, bool force) {
  grpc::ClientContext context;
  v1::CreateExperimentRequest request;
  *request.mutable_spec() = spec;
  request.set_request_id(request_id);
  request.set_force(force);
  v1::CreateExperimentResponse response;
  const grpc::Status status = experiments->CreateExperiment(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return response.experiment();
}

void TestCluster::Register(const std::string& worker, int slots, const std::vector<v1::AttemptRef>& running) {
  grpc::ClientContext context;
  v1::RegisterWorkerRequest request;
  request.set_name("workers/" + worker);
  request.set_worker_uid("uid-" + worker);
  request.set_protocol(1);
  for (int i = 0; i < slots; ++i) request.add_slots()->set_index(i);
  for (const v1::AttemptRef& ref : running) *request.add_attempts() = ref;
  v1::RegisterWorkerResponse response;
  const grpc::Status status = workers->RegisterWorker(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  sessions_[worker] = response.session();
}

v1::SynchronizeResponse TestCluster::Sync(const std::string& worker, const std::vector<v1::AttemptRef>& running) {
  grpc::ClientContext context;
  v1::SynchronizeRequest request;
  request.set_name("workers/" + worker);
  request.set_session(sessions_[worker]);
  request.set_generation(generations_[worker]);
  for (const v1::AttemptRef& ref : running) *request.add_running() = ref;
  v1::SynchronizeResponse response;
  const grpc::Status status = workers->Synchronize(&context, request, &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  generations_[worker] = response.generation();
  return response;
}

grpc::Status TestCluster::Report(const std::string& worker, const v1::AttemptRef& attempt,
                                 const std::vector<std::string>& events, int64_t* acknowledged) {
  grpc::ClientContext context;
  v1::ReportEventsRequest request;
  request.set_worker("workers/" + worker);
  request.set_session(sessions_[worker]);
  *request.mutable_attempt() = attempt;
  for (const std::string& event : events) request.add_events(event);
  v1::ReportEventsResponse response;
  const grpc::Status status = workers->ReportEvents(&context, request, &response);
  if (acknowledged != nullptr) *acknowledged = response.acknowledged_seq();
  return status;
}

grpc::Status TestCluster::Complete(const std::string& worker, const v1::AttemptRef& attempt, const std::string& outcome,
                                   const std::string& cause) {
  grpc::ClientContext context;
  v1::CompleteAttemptRequest request;
  request.set_worker("workers/" + worker);
  request.set_session(sessions_[worker]);
  *request.mutable_attempt() = attempt;
  request.set_outcome(outcome);
  request.set_cause(cause);
  v1::CompleteAttemptResponse response;
  return workers->CompleteAttempt(&context, request, &response);
}

v1::Artifact TestCluster::Upload(const v1::AttemptRef& attempt, const std::string& kind, int update,
                                 const std::string& content) {
  v1::StartUploadRequest start;
  start.set_job(attempt.job());
  start.set_attempt(attempt.attempt());
  start.set_kind(kind);
  start.set_sha256(base::Sha256Hex(content));
  start.set_bytes(static_cast<int64_t>(content.size()));
  start.set_update(update);
  start.set_file_name("file.safetensors");
  v1::StartUploadResponse started;
  grpc::ClientContext start_context, chunk_context, finish_context;
  grpc::Status status = artifacts->StartUpload(&start_context, start, &started);
  EXPECT_TRUE(status.ok()) << status.error_message();
  if (started.has_artifact()) return started.artifact();
  v1::UploadChunkRequest chunk;
  chunk.set_upload_id(started.upload_id());
  chunk.set_offset(started.offset());
  chunk.set_data(content.substr(static_cast<size_t>(started.offset())));
  chunk.set_xxh3(XXH3_64bits(chunk.data().data(), chunk.data().size()));
  v1::UploadChunkResponse taken;
  status = artifacts->UploadChunk(&chunk_context, chunk, &taken);
  EXPECT_TRUE(status.ok()) << status.error_message();
  v1::FinishUploadRequest finish;
  finish.set_upload_id(started.upload_id());
  v1::Artifact artifact;
  status = artifacts->FinishUpload(&finish_context, finish, &artifact);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return artifact;
}

v1::Trial TestCluster::Trial(const std::string& name) {
  grpc::ClientContext context;
  v1::GetTrialRequest request;
  request.set_name(name);
  v1::Trial trial;
  const grpc::Status status = trials->GetTrial(&context, request, &trial);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return trial;
}

v1::Job TestCluster::Job(const std::string& name) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name(name);
  v1::Job job;
  const grpc::Status status = jobs->GetJob(&context, request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job;
}

std::string Event(int64_t seq, const std::string& type, const std::string& fields, int attempt) {
  return absl::StrCat(R"({"seq": )", seq, R"(, "attempt": )", attempt,
                      R"(, "rank": 0, "time": "2026-01-01T00:00:00.000Z", "type": ")", type, "\"",
                      fields.empty() ? "" : ", ", fields, "}");
}

}  // namespace strata::service
