#include "server/service/access.h"

#include <grpc/grpc_security_constants.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"
#include "server/base/tls/certificate.h"

namespace strata::service {
namespace {

constexpr std::string_view kBearer = "Bearer ";

std::string_view View(grpc::string_ref text) { return {text.data(), text.size()}; }

std::string Moment(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%SZ", time, absl::UTCTimeZone()); }

std::string Leaf(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

absl::Status Refusal(const Caller& caller, const AccessRule& rule) {
  const std::string method = Leaf(rule.method);
  const std::string person = absl::StrCat(WithArticle(rule.least), rule.least == Role::kAdmin ? "" : " or above");
  if (caller.role == Role::kNobody) {
    const std::string needed = rule.least == Role::kNobody ? "worker" : Name(rule.least);
    return absl::UnauthenticatedError(absl::StrCat(
        "The caller shows no token, and ", method, " is for ", rule.least == Role::kNobody ? "workers" : person,
        ". Show one by STRATA_TOKEN or --token-file; an admin makes it: strata admin token create NAME --role ", needed));
  }
  const std::string who = absl::StrCat(caller.name, " is ", WithArticle(caller.role), ", and ", method, " is for ");
  if (rule.least == Role::kNobody) {
    return absl::PermissionDeniedError(
        absl::StrCat(who, "workers only. Give the agent a worker's certificate or token: strata admin certs worker NAME"));
  }
  return absl::PermissionDeniedError(
      absl::StrCat(who, person, ". Ask an admin for a token that may: strata admin token create NAME --role ",
                   Name(rule.least)));
}

}  // namespace

std::string NewSecret() { return absl::StrCat(kTokenPrefix, base::RandomHex(32)); }

bool StandsFor(std::string_view pattern, std::string_view name) {
  if (pattern.empty() || pattern.back() != '*') return pattern == name;
  pattern.remove_suffix(1);
  return name.substr(0, pattern.size()) == pattern;
}

absl::Status Access::Load() {
  const auto tokens = coordinator_.store().ListTokens("", std::numeric_limits<int>::max());
  if (!tokens.ok()) return tokens.status();
  base::MutexLock lock(mutex_);
  by_hash_.clear();
  for (const store::Token& token : *tokens) by_hash_[token.sha256] = token;
  return absl::OkStatus();
}

absl::StatusOr<Caller> Access::ByToken(std::string_view secret) const {
  const std::string hash = base::Sha256Hex(secret);
  const absl::Time now = coordinator_.now();
  base::MutexLock lock(mutex_);
  const auto found = by_hash_.find(hash);
  if (found == by_hash_.end()) {
    return absl::UnauthenticatedError(
        "The coordinator does not know the token that was shown. Look for a mistake in STRATA_TOKEN or the token's file, or "
        "ask an admin for a new one: strata admin token create NAME");
  }
  const store::Token& token = found->second;
  if (token.revoke_time <= now) {
    return absl::UnauthenticatedError(absl::StrCat("The token ", token.name, " was revoked at ",
                                                   Moment(token.revoke_time), ". Ask an admin for a new one: strata admin "
                                                   "token create NAME"));
  }
  if (token.expire_time <= now) {
    return absl::UnauthenticatedError(absl::StrCat(
        "The token ", token.name, " expired at ", Moment(token.expire_time), "; the coordinator's clock says ",
        Moment(now), ". Ask an admin for a new one: strata admin token create NAME"));
  }
  const auto role = ParseRole(token.role);
  if (!role.ok()) return role.status();
  return Caller{token.name, *role, "token", token.expire_time};
}

absl::StatusOr<Caller> Access::Identify(const Metadata& metadata, const grpc::AuthContext* peer) const {
  if (!encrypted_) return Caller{"anonymous", Role::kAdmin, "none"};
  if (const auto header = metadata.find("authorization"); header != metadata.end()) {
    const std::string_view value = View(header->second);
    if (value.substr(0, kBearer.size()) != kBearer) {
      return absl::UnauthenticatedError("The authorization of a call is written \"Bearer TOKEN\".");
    }
    return ByToken(value.substr(kBearer.size()));
  }
  if (peer == nullptr) return Caller();
  for (const grpc::string_ref& uri : peer->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME)) {
    Caller caller{.means = "certificate"};
    std::string role;
    if (!base::ParseIdentity(std::string(View(uri)), &role, &caller.name)) continue;
    const auto known = ParseRole(role);
    if (!known.ok()) continue;  // a coordinator's is no caller's
    caller.role = *known;
    return caller;
  }
  return Caller();
}

absl::StatusOr<Caller> Access::CallerOf(const grpc::ServerContextBase& context) const {
  if (!encrypted_) return Identify({}, nullptr);
  const auto peer = context.auth_context();
  return Identify(context.client_metadata(), peer.get());
}

absl::Status Access::Check(const Metadata& metadata, const grpc::AuthContext* peer, std::string_view path) const {
  const AccessRule* rule = FindRule(path);
  if (rule == nullptr) {
    return absl::UnimplementedError(absl::StrCat("This coordinator knows no call ", std::string(path), "."));
  }
  if (rule->entry == AccessRule::Entry::kAnyone) return absl::OkStatus();
  const auto caller = Identify(metadata, peer);
  if (!caller.ok()) return caller.status();
  return Allows(*rule, caller->role) ? absl::OkStatus() : Refusal(*caller, *rule);
}

absl::Status Access::SpeaksFor(const grpc::ServerContextBase& context, const std::string& worker) const {
  if (!encrypted_) return absl::OkStatus();
  const auto caller = CallerOf(context);
  if (!caller.ok()) return caller.status();
  if (caller->role == Role::kWorker && StandsFor(caller->name, worker)) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(caller->name, " may not speak for worker ", worker, ". Start the agent with --name ", caller->name,
                   ", or give it the certificate or token of ", worker, "."));
}

absl::Status Access::TakesPart(const grpc::ServerContextBase& context, const std::string& job, int32_t attempt) const {
  if (!encrypted_) return absl::OkStatus();
  const auto caller = CallerOf(context);
  if (!caller.ok()) return caller.status();
  bool takes_part = caller->role == Role::kWorker;
  const absl::Status looked = coordinator_.Look([&](const core::Controller& controller) -> absl::Status {
    if (absl::Status live = controller.CheckAttempt(job, attempt); !live.ok()) return live;
    const auto& places = controller.state().attempts.at({job, attempt}).places;
    takes_part = takes_part && std::any_of(places.begin(), places.end(), [&](const core::RankPlace& place) {
                   return StandsFor(caller->name, place.worker);
                 });
    return absl::OkStatus();
  });
  if (!looked.ok()) return looked;
  if (takes_part) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(caller->name, " takes no part in attempt ", attempt, " of ", job,
                                                  ": only a worker that the attempt is leased to may send its files."));
}

// Runs before a call's handler, on gRPC's thread: it only looks things up in memory.
class AccessGate final : public grpc::AuthMetadataProcessor {
 public:
  explicit AccessGate(const Access& access) : access_(access) {}
  bool IsBlocking() const override { return false; }
  grpc::Status Process(const InputMetadata& metadata, grpc::AuthContext* context, OutputMetadata*,
                       OutputMetadata*) override {
    const auto path = metadata.find(":path");
    const std::string method = path == metadata.end() ? "" : std::string(View(path->second));
    const absl::Status status = access_.Check(metadata, context, method);
    if (status.ok()) return grpc::Status::OK;
    spdlog::warn("refused {}: {}", Leaf(method), std::string(status.message()));
    return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
  }

 private:
  const Access& access_;
};

std::shared_ptr<grpc::AuthMetadataProcessor> Access::MakeGate() const { return std::make_shared<AccessGate>(*this); }

std::optional<store::Token> Access::Find(const std::string& name) const {
  base::MutexLock lock(mutex_);
  for (const auto& [hash, token] : by_hash_) {
    if (token.name == name) return token;
  }
  return std::nullopt;
}

absl::Status Access::Keep(const store::Token& token) {
  absl::Status status = coordinator_.Update([&](Coordinator::Change& change) {
    change.Write(store::PutToken{token});
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  base::MutexLock lock(mutex_);
  std::erase_if(by_hash_, [&](const auto& entry) { return entry.second.name == token.name; });
  by_hash_[token.sha256] = token;
  return absl::OkStatus();
}

absl::Status Access::Add(store::Token token) {
  base::MutexLock one(changing_);
  const absl::Time now = coordinator_.now();
  if (const auto old = Find(token.name); old && old->revoke_time > now && old->expire_time > now) {
    return absl::AlreadyExistsError(
        absl::StrCat("There is a token ", token.name, " already, of role ", old->role, " until ", Moment(old->expire_time),
                     ". Revoke it first (strata admin token revoke ", token.name, "), or take another name."));
  }
  return Keep(token);
}

absl::StatusOr<store::Token> Access::Revoke(const std::string& name) {
  base::MutexLock one(changing_);
  auto token = Find(name);
  if (!token) {
    return absl::NotFoundError(absl::StrCat("There is no token ", name, ". 'strata admin token list' shows all."));
  }
  if (token->revoke_time != absl::InfiniteFuture()) return *token;
  token->revoke_time = coordinator_.now();
  if (absl::Status status = Keep(*token); !status.ok()) return status;
  return *token;
}

bool Access::HasValid(Role role) const {
  const absl::Time now = coordinator_.now();
  base::MutexLock lock(mutex_);
  for (const auto& [hash, token] : by_hash_) {
    if (token.role == Name(role) && token.revoke_time > now && token.expire_time > now) return true;
  }
  return false;
}

}  // namespace strata::service
