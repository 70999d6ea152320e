// strata-bench-live-trials COORDINATOR TRIALS LAYERS: a worker that is none. It takes TRIALS trainings and tells for
// each, once a second, what a trainer with LAYERS encoder and LAYERS decoder layers would, until standard input ends.
// Prints "ready" when all of them have told once. For figures of the coordinator with many live trials.
#include <grpcpp/grpcpp.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "strata/v1/worker_service.grpc.pb.h"

namespace {

namespace v1 = strata::v1;

constexpr char kName[] = "workers/many";

struct Training {
  v1::AttemptRef attempt;
  int64_t seq = 0;
  int update = 0;
};

void Check(const grpc::Status& status, const char* what) {
  if (status.ok()) return;
  std::fprintf(stderr, "strata-bench-live-trials: %s: %s\n", what, status.error_message().c_str());
  std::exit(1);
}

class Worker {
 public:
  Worker(const std::string& address, int trials, int layers)
      : stub_(v1::WorkerService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
        trials_(trials),
        layers_(layers) {}

  void Register() {
    v1::RegisterWorkerRequest request;
    request.set_name(kName);
    request.set_worker_uid("many");
    request.set_protocol(1);
    for (int slot = 0; slot < trials_; ++slot) request.add_slots()->set_index(slot);
    v1::RegisterWorkerResponse response;
    grpc::ClientContext context;
    Check(stub_->RegisterWorker(&context, request, &response), "RegisterWorker");
    session_ = response.session();
  }

  // Renews the leases, and takes what is new.
  void Synchronize() {
    v1::SynchronizeRequest request;
    request.set_name(kName);
    request.set_session(session_);
    request.set_generation(generation_);
    for (const Training& training : trainings_) *request.add_running() = training.attempt;
    v1::SynchronizeResponse response;
    grpc::ClientContext context;
    Check(stub_->Synchronize(&context, request, &response), "Synchronize");
    if (response.generation() == generation_) return;
    generation_ = response.generation();
    trainings_.resize(static_cast<size_t>(response.assignments_size()));
    for (int i = 0; i < response.assignments_size(); ++i) {
      Training& training = trainings_[static_cast<size_t>(i)];
      if (training.attempt.job() == response.assignments(i).attempt().job()) continue;
      training = {.attempt = response.assignments(i).attempt()};
    }
  }

  void Report(Training& training) {
    v1::ReportEventsRequest request;
    request.set_worker(kName);
    request.set_session(session_);
    *request.mutable_attempt() = training.attempt;
    const auto add = [&](const char* type, const std::string& fields) {
      request.add_events(absl::StrCat(R"({"seq": )", ++training.seq, R"(, "attempt": )", training.attempt.attempt(),
                                      R"(, "rank": 0, "time": "2026-01-01T00:00:00.000Z", "type": ")", type, "\", ",
                                      fields, "}"));
    };
    if (training.seq == 0) add("started", R"("job": "train", "resumed_from": null)");
    training.update += 10;
    const double loss = 4 + 4.0 / training.update;
    add("progress",
        absl::StrCat(
            R"("update": )", training.update,
            R"(, "updates": 1000000, "seconds_per_update": 0.1, "tokens_per_second": 5000, "phase": "train")"));
    add("measurements", absl::StrCat(R"("update": )", training.update, R"(, "scalars": {"train_loss": )", loss,
                                     R"(, "learning_rate": 0.001, "valid_nll": )", loss, R"(}, "vectors": [)",
                                     Gradients("encoder"), ", ", Gradients("decoder"), "]"));
    v1::ReportEventsResponse response;
    grpc::ClientContext context;
    Check(stub_->ReportEvents(&context, request, &response), "ReportEvents");
  }

  void ReportAll() {
    for (Training& training : trainings_) Report(training);
  }

  bool full() const { return static_cast<int>(trainings_.size()) == trials_; }

 private:
  std::string Gradients(const std::string& stack) const {
    std::string values;
    for (int layer = 1; layer <= layers_; ++layer) absl::StrAppend(&values, layer > 1 ? ", " : "", 0.123456789 * layer);
    return absl::StrCat(R"({"name": "gradient_norm_output", "stack": ")", stack, R"(", "values": [)", values, "]}");
  }

  std::unique_ptr<v1::WorkerService::Stub> stub_;
  const int trials_, layers_;
  std::string session_;
  int64_t generation_ = -1;
  std::vector<Training> trainings_;
};

bool InputEnds(std::chrono::milliseconds wait) {
  pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
  if (::poll(&input, 1, static_cast<int>(wait.count())) <= 0) return false;
  char byte = 0;
  return ::read(STDIN_FILENO, &byte, 1) <= 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "Use: strata-bench-live-trials COORDINATOR TRIALS LAYERS\n");
    return 2;
  }
  Worker worker(argv[1], std::atoi(argv[2]), std::atoi(argv[3]));
  worker.Register();
  while (!worker.full()) {
    worker.Synchronize();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  worker.ReportAll();
  std::puts("ready");
  std::fflush(stdout);
  while (!InputEnds(std::chrono::seconds(1))) {
    worker.Synchronize();
    worker.ReportAll();
  }
  return 0;
}
