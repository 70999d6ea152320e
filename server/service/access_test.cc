// Who gets in: the table against a real server under TLS, tokens, workers' names, the audit log.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/rpc/credentials.h"
#include "server/base/tls/authority.h"
#include "server/service/access_table.h"
#include "server/service/server.h"
#include "server/service/testing.h"
#include "strata/v1/access_service.grpc.pb.h"
#include "strata/v1/experiment_service.grpc.pb.h"
#include "strata/v1/worker_service.grpc.pb.h"

extern "C" const char strata_v1_descriptors[];
extern "C" const unsigned long strata_v1_descriptors_size;

namespace strata::service {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// Every method of every service of strata/v1, as in AccessRule::method.
std::set<std::string> AllMethods() {
  google::protobuf::FileDescriptorSet files;
  EXPECT_TRUE(files.ParseFromArray(strata_v1_descriptors, static_cast<int>(strata_v1_descriptors_size)));
  std::set<std::string> methods;
  for (const auto& file : files.file()) {
    for (const auto& service : file.service()) {
      for (const auto& method : service.method())
        methods.insert(absl::StrCat(file.package(), ".", service.name(), "/", method.name()));
    }
  }
  return methods;
}

TEST(AccessTableTest, HasEveryMethodOnceAndNoOther) {
  const std::set<std::string> methods = AllMethods();
  EXPECT_GT(methods.size(), 40u);
  std::set<std::string> known;
  for (const AccessRule& rule : AccessRules()) {
    EXPECT_TRUE(known.insert(std::string(rule.method)).second) << rule.method << " stands there twice";
    if (rule.method.rfind("strata.v1.", 0) == 0) {
      EXPECT_TRUE(methods.contains(std::string(rule.method))) << rule.method << " is no method";
    }
  }
  for (const std::string& method : methods)
    EXPECT_TRUE(known.contains(method)) << method << " has no entry: nobody may call it";
}

TEST(AccessTableTest, PeoplesRolesAscendAndWorkersAreNoPeople) {
  const AccessRule submit{.least = Role::kSubmitter}, report{.worker = true}, read{.least = Role::kViewer, .worker = true};
  const auto who = [](const AccessRule& rule) {
    std::string allowed;
    for (Role role : {Role::kNobody, Role::kViewer, Role::kSubmitter, Role::kAdmin, Role::kWorker})
      allowed += Allows(rule, role) ? Name(role)[0] : '.';
    return allowed;
  };
  EXPECT_EQ(who(submit), "..sa.");
  EXPECT_EQ(who(report), "....w");
  EXPECT_EQ(who(read), ".vsaw");
}

class AccessTest : public testing::Test {
 protected:
  AccessTest() : folder_(testing::TempDir() + "/access_" + base::RandomHex(6)), certs_(folder_ + "/certs") {
    EXPECT_TRUE(base::MakeAuthority(certs_, Past(), Future(), base::Overwrite::kNo).ok());
    Issue("coordinator", "main");
    Start();
    admin_ = Secret();
  }
  ~AccessTest() override {
    server_ = nullptr;
    std::filesystem::remove_all(folder_);
  }

  static absl::Time Past() { return absl::Now() - absl::Hours(1); }
  static absl::Time Future() { return absl::Now() + absl::Hours(48); }
  base::TlsFiles Issue(const std::string& role, const std::string& name) {
    const auto issued = base::IssueCertificate(
        certs_, {.role = role, .name = name, .hosts = {"127.0.0.1"}, .not_before = Past(), .not_after = absl::Now() + absl::Hours(24)},
        base::Overwrite::kNo);
    EXPECT_TRUE(issued.ok()) << issued.status();
    return {certs_ + "/ca.crt", issued->cert, issued->key};
  }
  void Start() {
    ServerOptions options;
    options.data_dir = folder_ + "/data";
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "none";
    options.tls = {certs_ + "/ca.crt", certs_ + "/coordinator.crt", certs_ + "/coordinator.key"};
    options.version = "1.2.3+abc";
    options.clock = [this] { return absl::Now() + ahead_; };
    auto server = Server::Start(options);
    if (!server.ok()) {
      ADD_FAILURE() << server.status();
      abort();
    }
    server_ = *std::move(server);
  }
  std::string Secret() {
    const auto text = base::ReadTokenFile(folder_ + "/data/admin-token");
    EXPECT_TRUE(text.ok()) << text.status();
    return *text;
  }
  std::shared_ptr<grpc::Channel> Channel(const std::string& token, base::TlsFiles files = {}) {
    files.ca = certs_ + "/ca.crt";
    return grpc::CreateChannel(server_->address(), base::ChannelCredentials(files, [token] { return token; }));
  }
  std::unique_ptr<v1::AccessService::Stub> Access(const std::string& token) {
    return v1::AccessService::NewStub(Channel(token));
  }
  grpc::Status Create(const std::string& by, const std::string& name, v1::Role role, std::string* secret,
                      int64_t seconds = 3600) {
    grpc::ClientContext context;
    v1::CreateTokenRequest request;
    request.set_name("tokens/" + name);
    request.set_role(role);
    request.mutable_lifetime()->set_seconds(seconds);
    v1::CreateTokenResponse response;
    const grpc::Status status = Access(by)->CreateToken(&context, request, &response);
    *secret = response.secret();
    return status;
  }
  grpc::Status Revoke(const std::string& name) {
    grpc::ClientContext context;
    v1::RevokeTokenRequest request;
    request.set_name("tokens/" + name);
    v1::Token token;
    return Access(admin_)->RevokeToken(&context, request, &token);
  }
  grpc::Status Ask(const std::shared_ptr<grpc::Channel>& channel, v1::Caller* caller = nullptr) {
    grpc::ClientContext context;
    v1::Caller unused;
    return v1::AccessService::NewStub(channel)->GetCaller(&context, {}, caller == nullptr ? &unused : caller);
  }
  std::vector<v1::AuditEntry> Audit() {
    grpc::ClientContext context;
    v1::ListAuditEntriesResponse response;
    const grpc::Status status = Access(admin_)->ListAuditEntries(&context, {}, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return {response.entries().begin(), response.entries().end()};
  }

  const std::string folder_, certs_;
  absl::Duration ahead_ = absl::ZeroDuration();
  std::unique_ptr<Server> server_;
  std::string admin_;
};

// A call of `method` with an empty request.
grpc::Status CallByName(const std::shared_ptr<grpc::Channel>& channel, std::string_view method) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const grpc::Slice nothing;
  grpc::ByteBuffer request(&nothing, 1), response;
  const auto call = stub.PrepareUnaryCall(&context, absl::StrCat("/", std::string(method)), request, &queue);
  grpc::Status status;
  call->StartCall();
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  return status;
}

TEST_F(AccessTest, EachRoleGetsExactlyWhatTheTableSays) {
  std::string viewer, submitter;
  ASSERT_TRUE(Create(admin_, "vera", v1::ROLE_VIEWER, &viewer).ok());
  ASSERT_TRUE(Create(admin_, "sam", v1::ROLE_SUBMITTER, &submitter).ok());
  const std::vector<std::pair<Role, std::shared_ptr<grpc::Channel>>> callers = {
      {Role::kNobody, Channel("")},
      {Role::kViewer, Channel(viewer)},
      {Role::kSubmitter, Channel(submitter)},
      {Role::kAdmin, Channel(admin_)},
      {Role::kAdmin, Channel("", Issue("admin", "anna"))},
      {Role::kWorker, Channel("", Issue("worker", "w1"))},
  };
  for (const auto& [role, channel] : callers) {
    for (const AccessRule& rule : AccessRules()) {
      if (rule.method == "grpc.health.v1.Health/Watch") continue;  // it has no end
      const grpc::Status status = CallByName(channel, rule.method);
      const bool refused = status.error_code() == StatusCode::PERMISSION_DENIED || status.error_code() == StatusCode::UNAUTHENTICATED;
      EXPECT_EQ(!refused, Allows(rule, role)) << Name(role) << " " << rule.method << ": " << status.error_message();
      if (refused) {
        EXPECT_EQ(status.error_code(), role == Role::kNobody ? StatusCode::UNAUTHENTICATED : StatusCode::PERMISSION_DENIED);
        EXPECT_THAT(status.error_message(), HasSubstr(std::string(rule.method.substr(rule.method.rfind('/') + 1))));
      }
    }
  }
  EXPECT_EQ(CallByName(Channel(admin_), "strata.v1.JobService/Forget").error_code(), StatusCode::UNIMPLEMENTED);
}

TEST_F(AccessTest, SaysWhoTheCallerIsAndWhatIsNeeded) {
  std::string viewer;
  ASSERT_TRUE(Create(admin_, "vera", v1::ROLE_VIEWER, &viewer).ok());
  v1::Caller caller;
  ASSERT_TRUE(Ask(Channel(viewer), &caller).ok());
  EXPECT_EQ(caller.name() + " " + v1::Role_Name(caller.role()) + " " + caller.means(), "vera ROLE_VIEWER token");
  EXPECT_EQ(caller.server_version(), "1.2.3+abc");
  const grpc::Status low = CallByName(Channel(viewer), "strata.v1.ExperimentService/CreateExperiment");
  EXPECT_EQ(low.error_message(),
            "vera is a viewer, and CreateExperiment is for a submitter or above. Ask an admin for a token that may: strata "
            "admin token create NAME --role submitter");
  const grpc::Status none = CallByName(Channel(""), "strata.v1.ExperimentService/ListExperiments");
  EXPECT_THAT(none.error_message(), HasSubstr("shows no token, and ListExperiments is for a viewer or above. Show one by STRATA_TOKEN"));
  EXPECT_THAT(Ask(Channel("strata_wrong")).error_message(), HasSubstr("does not know the token"));
}

TEST_F(AccessTest, TokensEndWhenRevokedAndWhenTheirTimeIsOver) {
  std::string first, second;
  ASSERT_TRUE(Create(admin_, "vera", v1::ROLE_VIEWER, &first).ok());
  EXPECT_EQ(Create(admin_, "vera", v1::ROLE_VIEWER, &second).error_code(), StatusCode::ALREADY_EXISTS);
  const auto channel = Channel(first);
  EXPECT_TRUE(Ask(channel).ok());
  ASSERT_TRUE(Revoke("vera").ok());
  const grpc::Status revoked = Ask(channel);
  EXPECT_EQ(revoked.error_code(), StatusCode::UNAUTHENTICATED) << "at once, on an open connection too";
  EXPECT_THAT(revoked.error_message(), HasSubstr("vera was revoked at 20"));
  EXPECT_TRUE(Revoke("vera").ok()) << "idempotent";
  EXPECT_EQ(Revoke("nobody").error_code(), StatusCode::NOT_FOUND);
  ASSERT_TRUE(Create(admin_, "vera", v1::ROLE_VIEWER, &second, 600).ok()) << "the name is free again";
  EXPECT_FALSE(Ask(channel).ok());
  EXPECT_TRUE(Ask(Channel(second)).ok());
  ahead_ = absl::Minutes(11);
  const grpc::Status expired = Ask(Channel(second));
  EXPECT_EQ(expired.error_code(), StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(expired.error_message(), HasSubstr("vera expired at 20"));
  EXPECT_THAT(expired.error_message(), HasSubstr("the coordinator's clock says 20")) << "both times are named";
}

TEST_F(AccessTest, TokensOutlastARestartAndTheirSecretsAreNowhere) {
  std::string secret;
  ASSERT_TRUE(Create(admin_, "sam", v1::ROLE_SUBMITTER, &secret).ok());
  server_ = nullptr;
  Start();
  EXPECT_TRUE(Ask(Channel(secret)).ok());
  EXPECT_EQ(Secret(), admin_) << "no second first token";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_ + "/data")) {
    if (!entry.is_regular_file() || entry.path().filename() == "admin-token") continue;
    const auto content = base::ReadFile(entry.path());
    ASSERT_TRUE(content.ok());
    EXPECT_EQ(content->find(secret.substr(8)), std::string::npos) << entry.path();
    EXPECT_EQ(content->find(admin_.substr(8)), std::string::npos) << entry.path();
  }
}

TEST_F(AccessTest, AWorkerSpeaksForItselfOnly) {
  const auto w1 = v1::WorkerService::NewStub(Channel("", Issue("worker", "w1")));
  const auto pool = v1::WorkerService::NewStub(Channel("", Issue("worker", "pool-*")));
  v1::RegisterWorkerRequest request;
  request.set_protocol(1);
  request.add_slots();
  const auto join = [&](auto& stub, const std::string& name) {
    grpc::ClientContext context;
    v1::RegisterWorkerResponse response;
    request.set_name("workers/" + name);
    request.set_worker_uid(name);
    return stub->RegisterWorker(&context, request, &response);
  };
  EXPECT_TRUE(join(w1, "w1").ok());
  const grpc::Status other = join(w1, "w2");
  EXPECT_EQ(other.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(other.error_message(), HasSubstr("w1 may not speak for worker w2. Start the agent with --name w1"));
  EXPECT_TRUE(join(pool, "pool-7").ok());
  EXPECT_EQ(join(pool, "w1").error_code(), StatusCode::PERMISSION_DENIED);

  const auto denied = [](const grpc::Status& status) { return status.error_code() == StatusCode::PERMISSION_DENIED; };
  grpc::ClientContext c1, c2, c3, c4, c5;
  v1::SynchronizeRequest synchronize;
  synchronize.set_name("workers/pool-7");
  v1::SynchronizeResponse synchronized;
  EXPECT_TRUE(denied(w1->Synchronize(&c1, synchronize, &synchronized)));
  v1::ReportEventsRequest report;
  report.set_worker("workers/pool-7");
  v1::ReportEventsResponse reported;
  EXPECT_TRUE(denied(w1->ReportEvents(&c2, report, &reported)));
  v1::CompleteAttemptRequest complete;
  complete.set_worker("workers/pool-7");
  v1::CompleteAttemptResponse completed;
  EXPECT_TRUE(denied(w1->CompleteAttempt(&c3, complete, &completed)));
  v1::AppendLogRequest append;
  append.set_worker("workers/pool-7");
  v1::AppendLogResponse appended;
  EXPECT_TRUE(denied(w1->AppendLog(&c4, append, &appended)));
  v1::DeregisterWorkerRequest leave;
  leave.set_name("workers/pool-7");
  v1::DeregisterWorkerResponse left;
  EXPECT_TRUE(denied(w1->DeregisterWorker(&c5, leave, &left)));
}

TEST_F(AccessTest, OnlyAWorkerOfTheAttemptSendsItsFiles) {
  const auto w1 = Channel("", Issue("worker", "w1")), w2 = Channel("", Issue("worker", "w2"));
  TestCluster cluster;  // for its requests: they go to the coordinator under TLS
  cluster.datasets = v1::DatasetService::NewStub(Channel(admin_));
  cluster.experiments = v1::ExperimentService::NewStub(Channel(admin_));
  cluster.AddDataset("tiny");
  cluster.Submit(TestCluster::Spec(), "r1");
  cluster.workers = v1::WorkerService::NewStub(w1);
  cluster.Register("w1");
  const v1::AttemptRef attempt = cluster.Sync("w1").assignments(0).attempt();
  const auto start = [&](const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    v1::StartUploadRequest request;
    request.set_job(attempt.job());
    request.set_attempt(attempt.attempt());
    request.set_kind("checkpoint");
    request.set_sha256(std::string(64, 'a'));
    request.set_bytes(5);
    request.set_file_name("checkpoint");
    v1::StartUploadResponse response;
    return v1::ArtifactService::NewStub(channel)->StartUpload(&context, request, &response);
  };
  const grpc::Status other = start(w2);
  EXPECT_EQ(other.error_code(), StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(other.error_message(), HasSubstr(absl::StrCat("w2 takes no part in attempt 1 of ", attempt.job())));
  EXPECT_EQ(start(Channel(admin_)).error_code(), StatusCode::PERMISSION_DENIED) << "nor does a person";
  const grpc::Status own = start(w1);
  EXPECT_TRUE(own.ok()) << own.error_message();
}

TEST_F(AccessTest, AnAgentOfAnotherReleaseIsRefusedWithBothVersions) {
  const auto stub = v1::WorkerService::NewStub(Channel("", Issue("worker", "w1")));
  for (const auto& [version, protocol, good] : std::vector<std::tuple<std::string, int, bool>>{
           {"1.2.9+def", 1, true}, {"1.3.0+def", 1, false}, {"2.2.3", 1, false}, {"1.2.3+abc", 2, false}}) {
    grpc::ClientContext context;
    v1::RegisterWorkerRequest request;
    request.set_name("workers/w1");
    request.set_worker_uid("u");
    request.set_version(version);
    request.set_protocol(protocol);
    request.add_slots();
    v1::RegisterWorkerResponse response;
    const grpc::Status status = stub->RegisterWorker(&context, request, &response);
    EXPECT_EQ(status.ok(), good) << version << ": " << status.error_message();
    if (good) continue;
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr(version));
    EXPECT_THAT(status.error_message(), HasSubstr("1.2.3+abc"));
  }
}

TEST_F(AccessTest, ChangesStandInTheAuditLogAndRefusalsDoNot) {
  std::string sam;
  ASSERT_TRUE(Create(admin_, "sam", v1::ROLE_SUBMITTER, &sam).ok());
  EXPECT_FALSE(Create(sam, "eve", v1::ROLE_ADMIN, &sam).ok());
  EXPECT_FALSE(Revoke("nobody").ok());
  ASSERT_TRUE(Revoke("sam").ok());
  ASSERT_TRUE(Revoke("sam").ok());  // changes nothing more; asked for all the same
  const std::vector<v1::AuditEntry> log = Audit();
  ASSERT_THAT(log, SizeIs(4));
  EXPECT_EQ(log[0].method(), "AccessService/RevokeToken");
  EXPECT_EQ(log[2].method(), "AccessService/CreateToken");
  EXPECT_EQ(log[2].target(), "tokens/sam");
  EXPECT_EQ(log[2].caller(), "root");
  EXPECT_EQ(log[2].role(), v1::ROLE_ADMIN);
  EXPECT_THAT(log[2].request_id(), Not(IsEmpty()));
  EXPECT_THAT(log[2].peer(), HasSubstr("127.0.0.1"));
  EXPECT_EQ(log[3].caller(), "coordinator") << "the first token itself";
}

TEST(ExposureTest, RefusesToServeOthersInTheClear) {
  ServerOptions options;
  options.data_dir = testing::TempDir() + "/exposure_" + base::RandomHex(6);
  options.listen = "0.0.0.0:0";
  const auto server = Server::Start(options);
  EXPECT_THAT(server.status().message(), HasSubstr("in the clear and without asking who they are. Give --tls-cert"));
  options.listen = "127.0.0.1:0";
  options.metrics_listen = "0.0.0.0:0";
  EXPECT_THAT(Server::Start(options).status().message(), HasSubstr("--metrics-listen"));
  options.tls.ca = "/nowhere";
  EXPECT_THAT(Server::Start(options).status().message(), HasSubstr("Give all three"));
  std::filesystem::remove_all(options.data_dir);
}

}  // namespace
}  // namespace strata::service
