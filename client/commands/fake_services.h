// What a fake coordinator answers for all but experiments.
#pragma once

#include <grpcpp/grpcpp.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "strata/v1/artifact_service.grpc.pb.h"
#include "strata/v1/dataset_service.grpc.pb.h"
#include "strata/v1/experiment_service.grpc.pb.h"
#include "strata/v1/metric_service.grpc.pb.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace strata::client::fake {

inline grpc::Status NotFound(const std::string& name) {
  return grpc::Status(grpc::StatusCode::NOT_FOUND,
                      absl::StrCat("There is no ", name, ". 'strata list' shows what there is."));
}

inline v1::Trial MakeTrial() {
  v1::Trial trial;
  trial.set_name("experiments/demo-1/trials/t1");
  trial.mutable_spec()->mutable_model()->set_scheme("post_ln");
  trial.mutable_spec()->mutable_model()->set_depth("18L-18L");
  trial.set_state(v1::JOB_STATE_DIVERGED);
  trial.set_evidence(R"({"rule": "vanished", "update": 450})");
  trial.set_updates(600);
  trial.set_updates_done(450);
  v1::Job* job = trial.add_jobs();
  job->set_name(trial.name() + "/jobs/train");
  job->set_kind(v1::JOB_KIND_TRAIN);
  job->set_state(v1::JOB_STATE_DIVERGED);
  return trial;
}

struct Trials : v1::TrialService::Service {
  grpc::Status GetTrial(grpc::ServerContext*, const v1::GetTrialRequest* request, v1::Trial* response) override {
    if (request->name() != "experiments/demo-1/trials/t1") return NotFound(request->name());
    *response = MakeTrial();
    return grpc::Status::OK;
  }
  grpc::Status ListTrials(grpc::ServerContext*, const v1::ListTrialsRequest*,
                          v1::ListTrialsResponse* response) override {
    *response->add_trials() = MakeTrial();
    return grpc::Status::OK;
  }
};

struct Jobs : v1::JobService::Service {
  grpc::Status RetryJob(grpc::ServerContext*, const v1::RetryJobRequest*, v1::Job*) override {
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "demo-1/t1/train is DIVERGED, which is a result.");
  }
  grpc::Status HoldJob(grpc::ServerContext*, const v1::HoldJobRequest* request, v1::Job* response) override {
    if (request->name() != "experiments/demo-1/trials/t1/jobs/train") return NotFound(request->name());
    response->set_name(request->name());
    response->set_state(v1::JOB_STATE_QUEUED);
    response->set_held(true);
    return grpc::Status::OK;
  }
  grpc::Status GetJobLog(grpc::ServerContext*, const v1::GetJobLogRequest* request,
                         v1::GetJobLogResponse* response) override {
    if (request->offset() == 0) response->set_text("one\ntwo\n");
    response->set_next_offset(8);
    response->set_complete(request->offset() > 0);
    response->set_attempt(1);
    return grpc::Status::OK;
  }
};

struct Metrics : v1::MetricService::Service {
  grpc::Status ListSeries(grpc::ServerContext*, const v1::ListSeriesRequest*,
                          v1::ListSeriesResponse* response) override {
    response->add_series()->set_series("valid_nll");
    response->add_series()->set_series("gradient_norm_output");
    response->mutable_series(1)->set_stack("decoder");
    return grpc::Status::OK;
  }
  grpc::Status QueryScalars(grpc::ServerContext*, const v1::QueryScalarsRequest*,
                            v1::QueryScalarsResponse* response) override {
    response->add_points()->set_value(7.5);
    response->add_points()->set_value(std::numeric_limits<double>::quiet_NaN());
    response->mutable_points(1)->set_update(50);
    return grpc::Status::OK;
  }
  grpc::Status QueryVectors(grpc::ServerContext*, const v1::QueryVectorsRequest*,
                            v1::QueryVectorsResponse* response) override {
    auto* point = response->add_points();
    point->add_values(0.5);
    point->add_values(2);
    return grpc::Status::OK;
  }
};

struct Workers : v1::WorkerService::Service {
  // It takes two looks until the worker has gone.
  grpc::Status DrainWorker(grpc::ServerContext*, const v1::DrainWorkerRequest* request, v1::Worker* response) override {
    return Show(request->name(), v1::WORKER_STATE_READY, response);
  }
  grpc::Status GetWorker(grpc::ServerContext*, const v1::GetWorkerRequest* request, v1::Worker* response) override {
    return Show(request->name(), ++looks_ < 2 ? v1::WORKER_STATE_READY : v1::WORKER_STATE_GONE, response);
  }
  grpc::Status ListWorkers(grpc::ServerContext*, const v1::ListWorkersRequest*, v1::ListWorkersResponse*) override {
    return grpc::Status::OK;
  }

 private:
  static grpc::Status Show(const std::string& name, v1::WorkerState state, v1::Worker* worker) {
    if (name != "workers/w1") return NotFound(name);
    worker->set_name(name);
    worker->set_state(state);
    worker->set_cordoned(true);
    worker->set_draining(state == v1::WORKER_STATE_READY);
    worker->add_slots()->set_holder("experiments/demo-1/trials/t1/jobs/train#1");
    return grpc::Status::OK;
  }
  int looks_ = 0;
};

struct Artifacts : v1::ArtifactService::Service {
  grpc::Status ListArtifacts(grpc::ServerContext*, const v1::ListArtifactsRequest*,
                             v1::ListArtifactsResponse* response) override {
    auto* artifact = response->add_artifacts();
    artifact->set_name("experiments/demo-1/trials/t1/artifacts/a1");
    artifact->set_kind("checkpoint_final");
    artifact->set_file_name("final.safetensors");
    artifact->set_sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");  // of "abc"
    artifact->set_bytes(3);
    auto* damaged = response->add_artifacts();
    *damaged = *artifact;
    damaged->set_name("experiments/demo-1/trials/t1/artifacts/a2");
    damaged->set_kind("checkpoint_best");
    return grpc::Status::OK;
  }
  grpc::Status ReadArtifact(grpc::ServerContext*, const v1::ReadArtifactRequest* request,
                            grpc::ServerWriter<v1::ReadArtifactResponse>* writer) override {
    v1::ReadArtifactResponse response;
    response.set_data("ab");
    writer->Write(response);
    response.set_data(request->name().back() == '1' ? "c" : "x");
    writer->Write(response);
    return grpc::Status::OK;
  }
};

}  // namespace strata::client::fake
