// 20 creates, each followed at once by kill -9 of the coordinator: none lost, no id given twice. Real processes.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "nlohmann/json.hpp"
#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"
#include "strata/v1/dataset_service.grpc.pb.h"
#include "strata/v1/experiment_service.grpc.pb.h"

namespace strata::service {
namespace {

constexpr int kCreates = 20;

// A coordinator process on a folder.
class Process {
 public:
  explicit Process(const std::string& folder) {
    const std::string address_file = folder + "/address";
    std::filesystem::remove(address_file);
    pid_ = fork();
    if (pid_ == 0) {
      execl(STRATA_BINARY_DIR "/server/strata-coordinator", "strata-coordinator", "--data-dir", folder.c_str(),
            "--listen", "127.0.0.1:0", "--metrics-listen", "none", "--address-file", address_file.c_str(), nullptr);
      _exit(127);
    }
    for (int i = 0; i < 3000 && !std::filesystem::exists(address_file); ++i) absl::SleepFor(absl::Milliseconds(10));
    auto address = base::ReadFile(address_file);
    if (!address.ok()) {
      ADD_FAILURE() << "The coordinator does not serve: " << address.status();
      return;
    }
    address->pop_back();
    channel_ = grpc::CreateChannel(*address, grpc::InsecureChannelCredentials());
  }
  ~Process() { Kill(); }
  void Kill() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

 private:
  pid_t pid_ = 0;
  std::shared_ptr<grpc::Channel> channel_;
};

void AddDataset(const std::shared_ptr<grpc::Channel>& channel) {
  const std::string hash = base::Sha256Hex("x"), digest = base::Sha256Hex("a " + hash + "\n");
  const nlohmann::json manifest = {{"format", 1},
                                   {"name", "tiny"},
                                   {"task", "translation"},
                                   {"digest", digest},
                                   {"files", {{{"path", "a"}, {"bytes", 1}, {"sha256", hash}}}}};
  const auto stub = v1::DatasetService::NewStub(channel);
  grpc::ClientContext create_context, upload_context;
  v1::CreateDatasetRequest create;
  create.set_manifest(manifest.dump());
  v1::CreateDatasetResponse created;
  ASSERT_TRUE(stub->CreateDataset(&create_context, create, &created).ok());
  v1::UploadDatasetFileRequest upload;
  upload.set_name("datasets/tiny");
  upload.set_digest(digest);
  upload.set_path("a");
  upload.set_data("x");
  v1::UploadDatasetFileResponse uploaded;
  ASSERT_TRUE(stub->UploadDatasetFile(&upload_context, upload, &uploaded).ok());
  ASSERT_TRUE(uploaded.dataset_complete());
}

TEST(DurableCreateTest, AnAcknowledgedExperimentOutlivesAKillAndItsIdStaysItsOwn) {
  const std::string folder = testing::TempDir() + "/durable_create_" + base::RandomHex(6);
  std::filesystem::create_directories(folder);
  v1::CreateExperimentRequest request;
  request.mutable_spec()->set_experiment("e");
  v1::TrialSpec& spec = *request.mutable_spec()->mutable_base();
  spec.mutable_task()->set_kind("translation");
  spec.mutable_task()->set_dataset("tiny");
  spec.mutable_model()->set_scheme("b2t");
  spec.mutable_model()->set_depth("1L-1L");
  spec.mutable_train()->set_updates(10);
  spec.mutable_train()->set_warmup(10);
  std::set<std::string> acknowledged;
  {
    Process process(folder);
    AddDataset(process.channel());
  }
  for (int i = 0; i < kCreates; ++i) {
    Process process(folder);
    request.set_request_id(absl::StrCat("request-", i));
    grpc::ClientContext context;
    v1::CreateExperimentResponse response;
    const grpc::Status status =
        v1::ExperimentService::NewStub(process.channel())->CreateExperiment(&context, request, &response);
    process.Kill();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(acknowledged.insert(response.experiment().name()).second)
        << response.experiment().name() << " was given twice";
  }
  Process process(folder);
  grpc::ClientContext context;
  v1::ListExperimentsResponse list;
  ASSERT_TRUE(v1::ExperimentService::NewStub(process.channel())->ListExperiments(&context, {}, &list).ok());
  std::set<std::string> kept;
  for (const v1::Experiment& experiment : list.experiments()) kept.insert(experiment.name());
  EXPECT_EQ(kept, acknowledged);
  process.Kill();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace strata::service
