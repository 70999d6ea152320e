// AccessService of proto/strata/v1/access_service.proto.
#pragma once

#include <string>

#include "server/service/access.h"
#include "server/service/coordinator.h"
#include "strata/v1/access_service.grpc.pb.h"

namespace strata::service {

class AccessService final : public v1::AccessService::Service {
 public:
  // `version`: the coordinator's, with its commit.
  AccessService(Coordinator& coordinator, Access& access, std::string version)
      : coordinator_(coordinator), access_(access), version_(std::move(version)) {}

  grpc::Status GetCaller(grpc::ServerContext*, const v1::GetCallerRequest*, v1::Caller*) override;
  grpc::Status CreateToken(grpc::ServerContext*, const v1::CreateTokenRequest*, v1::CreateTokenResponse*) override;
  grpc::Status ListTokens(grpc::ServerContext*, const v1::ListTokensRequest*, v1::ListTokensResponse*) override;
  grpc::Status RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest*, v1::Token*) override;
  grpc::Status ListAuditEntries(grpc::ServerContext*, const v1::ListAuditEntriesRequest*,
                                v1::ListAuditEntriesResponse*) override;

 private:
  absl::Status Create(const grpc::ServerContextBase& context, const v1::CreateTokenRequest& request,
                      v1::CreateTokenResponse& response);
  absl::Status ListAudit(const v1::ListAuditEntriesRequest& request, v1::ListAuditEntriesResponse& response);

  Coordinator& coordinator_;
  Access& access_;
  const std::string version_;
};

}  // namespace strata::service
