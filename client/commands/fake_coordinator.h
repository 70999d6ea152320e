// A coordinator for tests of the command line: real gRPC on a free port, one experiment that is done, nothing behind
// it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/commands/fake_services.h"

namespace strata::client {

// Requests are answered one after the other by gRPC's threads while the test waits for the program: no locks are
// needed.
class FakeCoordinator : public v1::ExperimentService::Service {
 public:
  FakeCoordinator() {
    experiment_.set_name("experiments/demo-1");
    experiment_.set_trials(1);
    experiment_.set_done(true);
    experiment_.add_states()->set_state(v1::JOB_STATE_DIVERGED);
    experiment_.mutable_states(0)->set_trials(1);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(static_cast<v1::ExperimentService::Service*>(this));
    for (grpc::Service* service : std::vector<grpc::Service*>{&trials_, &jobs_, &metrics_, &workers_, &artifacts_})
      builder.RegisterService(service);
    server_ = builder.BuildAndStart();
  }
  ~FakeCoordinator() override { server_->Shutdown(); }

  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  v1::Experiment& experiment() { return experiment_; }
  const std::vector<v1::CreateExperimentRequest>& created() const { return created_; }
  void FailNextCreate() { fail_create_ = true; }

  grpc::Status CreateExperiment(grpc::ServerContext*, const v1::CreateExperimentRequest* request,
                                v1::CreateExperimentResponse* response) override {
    if (!request->validate_only()) created_.push_back(*request);
    response->mutable_estimate()->set_trials(6);
    response->mutable_estimate()->set_updates(3600);
    response->mutable_estimate()->set_disk_bytes(int64_t{25} << 20);
    response->mutable_estimate()->set_slot_seconds(900);
    *response->mutable_experiment() = experiment_;
    if (request->validate_only() || !fail_create_) return grpc::Status::OK;
    fail_create_ = false;  // stored, but the answer is lost
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "lost");
  }
  grpc::Status GetExperiment(grpc::ServerContext*, const v1::GetExperimentRequest* request,
                             v1::Experiment* response) override {
    if (request->name() != experiment_.name()) return fake::NotFound(request->name());
    *response = experiment_;
    return grpc::Status::OK;
  }
  grpc::Status ListExperiments(grpc::ServerContext*, const v1::ListExperimentsRequest* request,
                               v1::ListExperimentsResponse* response) override {
    *response->add_experiments() = experiment_;  // two pages, one each
    if (request->page_token().empty()) response->set_next_page_token("2");
    if (!request->page_token().empty()) response->mutable_experiments(0)->set_name("experiments/demo-0");
    return grpc::Status::OK;
  }
  grpc::Status WatchExperiment(grpc::ServerContext*, const v1::WatchExperimentRequest* request,
                               grpc::ServerWriter<v1::WatchExperimentResponse>* writer) override {
    if (request->name() != experiment_.name()) return fake::NotFound(request->name());
    const bool breaks = watches_++ == 0;
    v1::WatchExperimentResponse response;
    *response.mutable_experiment() = experiment_;
    response.mutable_experiment()->set_done(!breaks);
    if (!breaks) *response.add_trials() = fake::MakeTrial();
    writer->Write(response);
    return breaks ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting") : grpc::Status::OK;
  }

 private:
  v1::Experiment experiment_;
  std::vector<v1::CreateExperimentRequest> created_;
  bool fail_create_ = false;
  int watches_ = 0;
  int port_ = 0;
  fake::Trials trials_;
  fake::Jobs jobs_;
  fake::Metrics metrics_;
  fake::Workers workers_;
  fake::Artifacts artifacts_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace strata::client
