#include "server/service/access_service.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "server/base/sha256.h"
#include "server/service/convert.h"
#include "server/service/names.h"
#include "server/service/rpc.h"

namespace strata::service {
namespace {

constexpr absl::Duration kShortestLife = absl::Minutes(1);
constexpr absl::Duration kLongestLife = absl::Hours(24 * 365 * 5 + 48);

absl::Time FromProto(const google::protobuf::Timestamp& proto) {
  return absl::FromUnixSeconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

Role StoredRole(const std::string& name) {
  const auto role = ParseRole(name);
  return role.ok() ? *role : Role::kNobody;
}

v1::Token Show(const store::Token& token) {
  v1::Token proto;
  proto.set_name("tokens/" + token.name);
  proto.set_role(ToProto(StoredRole(token.role)));
  *proto.mutable_create_time() = ToProto(token.create_time);
  *proto.mutable_expire_time() = ToProto(token.expire_time);
  if (token.revoke_time != absl::InfiniteFuture()) *proto.mutable_revoke_time() = ToProto(token.revoke_time);
  proto.set_creator(token.creator);
  return proto;
}

v1::AuditEntry Show(const store::AuditEntry& entry) {
  v1::AuditEntry proto;
  proto.set_number(entry.number);
  *proto.mutable_time() = ToProto(entry.time);
  proto.set_caller(entry.caller);
  proto.set_role(ToProto(StoredRole(entry.role)));
  proto.set_method(entry.method);
  proto.set_target(entry.target);
  proto.set_request_id(entry.request_id);
  proto.set_peer(entry.peer);
  return proto;
}

// The id in tokens/{token}.
absl::StatusOr<std::string> TokenId(const std::string& name, bool pattern) {
  const auto ids = ParseName(name, "tokens/*");
  if (!ids.ok()) return ids.status();
  std::string_view id = (*ids)[0];
  if (pattern && id.size() > 1 && id.back() == '*') id.remove_suffix(1);
  if (!IsId(std::string(id), 63)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "name: \"", name,
        "\" is no token's name. Use lower-case letters, digits, dots and hyphens, at most 63, as in tokens/alice; a "
        "worker's may end with a *."));
  }
  return (*ids)[0];
}

}  // namespace

grpc::Status AccessService::GetCaller(grpc::ServerContext* context, const v1::GetCallerRequest*, v1::Caller* response) {
  const auto caller = access_.CallerOf(*context);
  if (!caller.ok()) return ToGrpc(caller.status());
  response->set_name(caller->name);
  response->set_role(ToProto(caller->role));
  response->set_means(caller->means);
  if (caller->expire_time != absl::InfiniteFuture()) *response->mutable_expire_time() = ToProto(caller->expire_time);
  *response->mutable_server_time() = ToProto(coordinator_.now());
  response->set_server_version(version_);
  return grpc::Status::OK;
}

absl::Status AccessService::Create(const grpc::ServerContextBase& context, const v1::CreateTokenRequest& request,
                                   v1::CreateTokenResponse& response) {
  const Role role = service::FromProto(request.role());
  if (role == Role::kNobody) {
    return absl::InvalidArgumentError("role: none is given. Take viewer, submitter, admin or worker.");
  }
  const auto name = TokenId(request.name(), /*pattern=*/role == Role::kWorker);
  if (!name.ok()) return name.status();
  const absl::Duration life =
      absl::Seconds(request.lifetime().seconds()) + absl::Nanoseconds(request.lifetime().nanos());
  if (life < kShortestLife || life > kLongestLife) {
    return absl::InvalidArgumentError(absl::StrCat("lifetime: ", absl::FormatDuration(life),
                                                   " is not between a minute and five years. Give e.g. 30d."));
  }
  const auto creator = access_.CallerOf(context);
  if (!creator.ok()) return creator.status();
  const std::string secret = NewSecret();
  const store::Token token{.name = *name,
                           .role = Name(role),
                           .sha256 = base::Sha256Hex(secret),
                           .create_time = coordinator_.now(),
                           .expire_time = coordinator_.now() + life,
                           .creator = creator->name};
  if (absl::Status status = access_.Add(token); !status.ok()) return status;
  *response.mutable_token() = Show(token);
  response.set_secret(secret);
  return absl::OkStatus();
}

grpc::Status AccessService::CreateToken(grpc::ServerContext* context, const v1::CreateTokenRequest* request,
                                        v1::CreateTokenResponse* response) {
  return ToGrpc(Create(*context, *request, *response));
}

grpc::Status AccessService::ListTokens(grpc::ServerContext*, const v1::ListTokensRequest* request,
                                       v1::ListTokensResponse* response) {
  const auto size = PageSize(request->page_size());
  if (!size.ok()) return ToGrpc(size.status());
  const auto after = ReadPageToken("tokens", request->page_token());
  if (!after.ok()) return ToGrpc(after.status());
  const auto rows = coordinator_.store().ListTokens(*after, *size + 1);
  if (!rows.ok()) return ToGrpc(rows.status());
  for (const store::Token& row : *rows) {
    if (response->tokens_size() == *size) {
      response->set_next_page_token(PageToken("tokens", (*rows)[static_cast<size_t>(*size) - 1].name));
      break;
    }
    *response->add_tokens() = Show(row);
  }
  return grpc::Status::OK;
}

grpc::Status AccessService::RevokeToken(grpc::ServerContext*, const v1::RevokeTokenRequest* request,
                                        v1::Token* response) {
  const auto name = TokenId(request->name(), /*pattern=*/true);
  if (!name.ok()) return ToGrpc(name.status());
  const auto token = access_.Revoke(*name);
  if (token.ok()) *response = Show(*token);
  return ToGrpc(token.status());
}

absl::Status AccessService::ListAudit(const v1::ListAuditEntriesRequest& request,
                                      v1::ListAuditEntriesResponse& response) {
  const auto size = PageSize(request.page_size());
  if (!size.ok()) return size.status();
  const auto before = ReadPageNumber("audit", request.page_token(), std::numeric_limits<int64_t>::max());
  if (!before.ok()) return before.status();
  store::AuditFilter filter{.before = *before,
                            .caller = request.caller(),
                            .method = request.method(),
                            .target = request.target()};
  if (request.has_start_time()) filter.start = FromProto(request.start_time());
  if (request.has_end_time()) filter.end = FromProto(request.end_time());
  const auto rows = coordinator_.store().ListAudit(filter, *size + 1);
  if (!rows.ok()) return rows.status();
  for (const store::AuditEntry& row : *rows) {
    if (response.entries_size() == *size) {
      response.set_next_page_token(PageToken("audit", absl::StrCat(row.number + 1)));
      break;
    }
    *response.add_entries() = Show(row);
  }
  return absl::OkStatus();
}

grpc::Status AccessService::ListAuditEntries(grpc::ServerContext*, const v1::ListAuditEntriesRequest* request,
                                             v1::ListAuditEntriesResponse* response) {
  return ToGrpc(ListAudit(*request, *response));
}

}  // namespace strata::service
