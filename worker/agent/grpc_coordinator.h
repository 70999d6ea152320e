// The Coordinator over gRPC. Finds the coordinator by a fixed address, or by a file that is read again whenever the
// connection fails (an embedded cluster's coordinator takes a free port at each start).
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "server/base/mutex.h"
#include "server/base/tls/certificate.h"
#include "worker/agent/coordinator.h"
#include "worker/agent/slots.h"

namespace grpc {
class Channel;
class ChannelCredentials;
class ClientContext;
class Status;
}  // namespace grpc

namespace strata::agent {

// How the agent shows that it is the worker: by its certificate, or by a token in a file that is read anew at each call.
struct Security {
  base::TlsFiles tls;  // none: in the clear
  std::string token_file;
};

struct Introduction {
  std::string name;  // without "workers/"
  std::string worker_uid;
  std::vector<Slot> slots;
  std::string version;
  std::string host;
  std::string advertise_address;
  std::string metrics_address;               // host:port; empty: none
  std::function<bool(const Slot&)> offered;  // false for one that is lost; empty: all are offered
};

class GrpcCoordinator final : public Coordinator {
 public:
  // One of `address` (host:port) and `address_file` is given.
  GrpcCoordinator(std::string address, std::string address_file, Introduction introduction, const Security& security = {});
  ~GrpcCoordinator() override;

  absl::StatusOr<Registration> Register(const std::vector<AttemptId>& attempts) override;
  absl::StatusOr<Assignments> Synchronize(int64_t generation, absl::Duration wait,
                                          const std::vector<AttemptId>& running) override;
  absl::StatusOr<int64_t> ReportEvents(const AttemptId& id, int32_t rank,
                                       const std::vector<std::string>& events) override;
  absl::Status CompleteAttempt(const AttemptId& id, const Completion& completion) override;
  absl::StatusOr<int64_t> AppendLog(const AttemptId& id, int64_t offset, const std::string& text) override;
  absl::Status Deregister() override;
  absl::StatusOr<DatasetInfo> GetDataset(const std::string& name) override;
  absl::Status ReadDatasetFile(const std::string& name, const std::string& path, int64_t offset,
                               const ByteSink& sink) override;
  absl::Status ReadArtifact(const std::string& name, int64_t offset, const ByteSink& sink) override;
  absl::StatusOr<Upload> StartUpload(const AttemptId& id, const ArtifactFile& file) override;
  absl::StatusOr<int64_t> UploadChunk(const std::string& upload, int64_t offset, std::string_view data) override;
  absl::Status FinishUpload(const std::string& upload) override;
  void Interrupt() override;

 private:
  struct Stubs;
  std::shared_ptr<Stubs> Connect();  // the stubs of the present address; null: there is none
  std::string session() const;
  absl::Status NoCoordinator() const;
  absl::Status Convert(const grpc::Status& status);
  // Why TLS does not come about, where that is it; looks once in a while, and logs what is new.
  std::string WhyUnreachable(const std::string& address);

  const std::string address_, address_file_;
  const Introduction introduction_;
  const base::TlsFiles tls_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  mutable base::Mutex mutex_;
  std::string connected_to_ ABSL_GUARDED_BY(mutex_);
  bool look_again_ ABSL_GUARDED_BY(mutex_) = true;
  std::shared_ptr<Stubs> stubs_ ABSL_GUARDED_BY(mutex_);
  std::string session_ ABSL_GUARDED_BY(mutex_);
  grpc::ClientContext* waiting_ ABSL_GUARDED_BY(mutex_) = nullptr;  // of Synchronize
  absl::Time diagnosed_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::string diagnosis_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace strata::agent
