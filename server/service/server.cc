#include "server/service/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <spdlog/spdlog.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/http/exposure.h"
#include "server/base/rpc/credentials.h"
#include "server/service/access.h"
#include "server/service/access_service.h"
#include "server/service/artifact_service.h"
#include "server/service/audit.h"
#include "server/service/checkpoints.h"
#include "server/service/data_folder.h"
#include "server/service/dataset_service.h"
#include "server/service/experiment_service.h"
#include "server/service/first_token.h"
#include "server/service/http_access.h"
#include "server/service/live_trials.h"
#include "server/service/metric_service.h"
#include "server/service/metrics.h"
#include "server/service/upkeep_service.h"
#include "server/service/views.h"
#include "server/service/worker_service.h"
#include "server/store/sqlite_store.h"

namespace strata::service {
namespace {

constexpr int kLargestMessage = 16 << 20;
// How long calls have to end when the server does; those that wait end at once.
constexpr auto kGrace = std::chrono::milliseconds(500);
// Each waiting agent and each watcher holds a thread.
constexpr int kMostThreads = 1024;

class RunningServer final : public Server {
 public:
  explicit RunningServer(const ServerOptions& options) : options_(options), folder_(options.data_dir) {}
  ~RunningServer() override { Shutdown(); }

  absl::Status Open() {
    if (absl::Status status = CheckTls(); !status.ok()) return status;
    if (absl::Status status = CheckExposure("--listen", options_.listen); !status.ok()) return status;
    if (options_.metrics_listen != "none") {
      if (absl::Status status = CheckExposure("--metrics-listen", options_.metrics_listen); !status.ok()) return status;
    }
    if (absl::Status status = folder_.Prepare(); !status.ok()) return status;
    auto store = store::OpenSqliteStore(folder_.database());
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    auto coordinator = Coordinator::Create(*store_, options_.controller, options_.clock);
    if (!coordinator.ok()) return coordinator.status();
    coordinator_ = *std::move(coordinator);
    MakeServices();
    if (absl::Status status = LetIn(); !status.ok()) return status;
    if (absl::Status status = Listen(); !status.ok()) return status;
    if (options_.metrics_listen != "none") {
      absl::Status status = metrics_->Expose(options_.metrics_listen, options_.tls, [this](const base::PageCaller& caller) {
        return MayRead(*access_, caller);
      });
      if (!status.ok()) return status;
    }
    coordinator_->Start();
    upkeep_->Start();
    server_->GetHealthCheckService()->SetServingStatus(true);
    return absl::OkStatus();
  }

  std::string address() const override { return address_; }
  std::string metrics_address() const override { return metrics_->address(); }

  void Shutdown() override {
    if (server_ != nullptr) {
      server_->GetHealthCheckService()->SetServingStatus(false);
      coordinator_->Stop();
      upkeep_->Stop();
      server_->Shutdown(std::chrono::system_clock::now() + kGrace);
      server_->Wait();
      server_ = nullptr;
    }
    if (metrics_ != nullptr) metrics_->Close();
  }

 private:
  absl::Status CheckExposure(const char* flag, const std::string& address) const {
    return base::CheckExposure(flag, address, options_.tls.any(), options_.insecure);
  }

  absl::Status CheckTls() const {
    if (!options_.tls.any()) return absl::OkStatus();
    if (!options_.tls.identity()) {
      return absl::InvalidArgumentError(
          "--tls-cert and --tls-key are missing: with --tls-ca alone nothing can be encrypted. Give all three.");
    }
    return base::CheckTlsFiles(options_.tls, options_.clock());
  }

  // Knows who may come in before anybody can.
  absl::Status LetIn() {
    if (absl::Status status = access_->Load(); !status.ok()) return status;
    if (access_->encrypted()) {
      const bool given = !options_.admin_token_file.empty();
      absl::Status status = EnsureAdminToken(
          *access_, *coordinator_, given ? options_.admin_token_file : options_.data_dir + "/admin-token", given);
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void MakeServices() {
    access_ = std::make_unique<Access>(*coordinator_, options_.tls.any());
    views_ = std::make_unique<Views>(*coordinator_, live_);
    checkpoints_ = std::make_unique<Checkpoints>(*coordinator_, folder_);
    metrics_ = std::make_unique<Metrics>(*coordinator_, live_, options_.data_dir);
    coordinator_->Observe([this](const Coordinator::Stored& stored) {
      metrics_->Count(stored);
      for (const core::Job& job : stored.jobs) {
        if (!core::IsFinal(job.state)) continue;
        live_.End(job.name, coordinator_->now());
        checkpoints_->Prune(job);
      }
    });
    experiments_ = std::make_unique<ExperimentService>(*coordinator_, *views_, folder_, options_.registry_json);
    trials_ = std::make_unique<TrialService>(*views_);
    jobs_ = std::make_unique<JobService>(*coordinator_, *views_, folder_);
    measurements_ = std::make_unique<MetricService>(*coordinator_, *views_);
    datasets_ = std::make_unique<DatasetService>(*coordinator_, folder_);
    artifacts_ = std::make_unique<ArtifactService>(*coordinator_, *access_, *checkpoints_, folder_);
    workers_ = std::make_unique<WorkerService>(*coordinator_, *access_, live_, *checkpoints_, folder_, options_.version);
    upkeep_ = std::make_unique<UpkeepService>(*coordinator_, folder_, datasets_->moving(), options_.retention,
                                              options_.collect_every, options_.version);
    callers_ = std::make_unique<AccessService>(*coordinator_, *access_, options_.version);
  }

  absl::Status Listen() {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    grpc::ResourceQuota quota("strata");
    quota.SetMaxThreads(kMostThreads);
    builder.SetResourceQuota(quota);
    builder.SetMaxReceiveMessageSize(kLargestMessage);
    builder.SetMaxSendMessageSize(kLargestMessage);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    int port = 0;
    const auto credentials = base::ServerCredentials(options_.tls);
    if (access_->encrypted()) credentials->SetAuthMetadataProcessor(access_->MakeGate());
    builder.AddListeningPort(options_.listen, credentials, &port);
    for (grpc::Service* service :
         std::initializer_list<grpc::Service*>{experiments_.get(), trials_.get(), jobs_.get(), measurements_.get(),
                                               datasets_.get(), artifacts_.get(), workers_.get(), callers_.get(), upkeep_.get()}) {
      builder.RegisterService(service);
    }
    std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> watching;
    watching.push_back(metrics_->MakeCounter());
    watching.push_back(MakeAuditor(*coordinator_, *access_));
    builder.experimental().SetInterceptorCreators(std::move(watching));
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      server_ = nullptr;
      return absl::FailedPreconditionError(absl::StrCat(
          "Cannot listen on ", options_.listen,
          ": the port is in use, or the address is not this machine's. Give another --listen, or port 0 for any."));
    }
    address_ = absl::StrCat(options_.listen.substr(0, options_.listen.rfind(':')), ":", port);
    return absl::OkStatus();
  }

  const ServerOptions options_;
  const DataFolder folder_;
  std::unique_ptr<store::Store> store_;
  LiveTrials live_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Access> access_;
  std::unique_ptr<Views> views_;
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<ExperimentService> experiments_;
  std::unique_ptr<TrialService> trials_;
  std::unique_ptr<JobService> jobs_;
  std::unique_ptr<MetricService> measurements_;
  std::unique_ptr<DatasetService> datasets_;
  std::unique_ptr<ArtifactService> artifacts_;
  std::unique_ptr<WorkerService> workers_;
  std::unique_ptr<AccessService> callers_;
  std::unique_ptr<UpkeepService> upkeep_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  auto server = std::make_unique<RunningServer>(options);
  if (absl::Status status = server->Open(); !status.ok()) return status;
  return server;
}

}  // namespace strata::service
