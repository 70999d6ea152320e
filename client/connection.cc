#include "client/connection.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/rpc/channel.h"
#include "server/base/rpc/credentials.h"

namespace strata::client {
namespace {

std::shared_ptr<grpc::Channel> Open(const std::string& address, const Security& security) {
  return base::OpenChannel(address, base::ChannelCredentials(security.tls, [token = security.token] { return token; }));
}

}  // namespace

Connection::Connection(const std::string& address, Security security)
    : address_(address),
      security_(std::move(security)),
      channel_(Open(address_, security_)),
      experiments_(v1::ExperimentService::NewStub(channel_)),
      trials_(v1::TrialService::NewStub(channel_)),
      jobs_(v1::JobService::NewStub(channel_)),
      datasets_(v1::DatasetService::NewStub(channel_)),
      metrics_(v1::MetricService::NewStub(channel_)),
      artifacts_(v1::ArtifactService::NewStub(channel_)),
      workers_(v1::WorkerService::NewStub(channel_)),
      access_(v1::AccessService::NewStub(channel_)),
      upkeep_(v1::UpkeepService::NewStub(channel_)) {}

absl::Status Connection::Explain(const grpc::Status& status) const {
  if (status.ok()) return absl::OkStatus();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    if (const std::string why = base::DiagnoseTls(address_, security_.tls, absl::Now()); !why.empty())
      return absl::FailedPreconditionError(why);
    return absl::UnavailableError(
        absl::StrCat("No coordinator at ", address_, ". Start one with 'strata up', or name another with --address."));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return absl::DeadlineExceededError(absl::StrCat("The coordinator at ", address_, " did not answer within ",
                                                    kDeadline.count(), " s. Its log says what it does; try again."));
  }
  if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return absl::UnimplementedError(absl::StrCat("What answers at ", address_,
                                                 " does not know this call: it is no coordinator, "
                                                 "or one of another version. Name another with --address."));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

bool Connection::Reachable() const {
  const auto deadline = std::chrono::system_clock::now() + std::chrono::seconds(2);
  for (;;) {
    const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return true;
    if (state == GRPC_CHANNEL_TRANSIENT_FAILURE || state == GRPC_CHANNEL_SHUTDOWN) return false;
    if (!channel_->WaitForStateChange(state, deadline)) return false;
  }
}

void Connection::Pause() { std::this_thread::sleep_for(std::chrono::milliseconds(200)); }

}  // namespace strata::client
