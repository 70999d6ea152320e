// Who calls, and whether they may: tokens and certificates, checked before any handler runs. Without TLS nobody is asked, and
// every caller is "anonymous", who may do everything. Thread-safe.
#pragma once

#include <grpcpp/security/auth_context.h>
#include <grpcpp/security/auth_metadata_processor.h>
#include <grpcpp/server_context.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/mutex.h"
#include "server/service/access_table.h"
#include "server/service/coordinator.h"
#include "server/store/access_rows.h"

namespace strata::service {

inline constexpr char kTokenPrefix[] = "strata_";  // of a secret; so that it is known where it leaks

struct Caller {
  std::string name;  // of the token or certificate; a worker's may stand for several by a * at its end
  Role role = Role::kNobody;
  std::string means;  // token, certificate or none
  absl::Time expire_time = absl::InfiniteFuture();
};

class Access {
 public:
  // `encrypted`: callers are asked who they are.
  Access(Coordinator& coordinator, bool encrypted) : coordinator_(coordinator), encrypted_(encrypted) {}

  // Reads the tokens from the store; before the first call.
  absl::Status Load() ABSL_LOCKS_EXCLUDED(mutex_);

  bool encrypted() const { return encrypted_; }

  // UNAUTHENTICATED: no such token, or it has ended; the sentence says which and what to do.
  absl::StatusOr<Caller> ByToken(std::string_view secret) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Of a call: by its token, else by its certificate. The role kNobody: it shows neither.
  absl::StatusOr<Caller> CallerOf(const grpc::ServerContextBase& context) const;

  // Whether the worker's agent is who calls. PERMISSION_DENIED names both.
  absl::Status SpeaksFor(const grpc::ServerContextBase& context, const std::string& worker) const;

  // The same for an attempt: whether a part of it is on a worker that the caller speaks for.
  absl::Status TakesPart(const grpc::ServerContextBase& context, const std::string& job, int32_t attempt) const;

  // Refuses calls that the table does not allow their caller. Lives no longer than this.
  std::shared_ptr<grpc::AuthMetadataProcessor> MakeGate() const;

  // Stores a token of `secret`, over one of its name that has ended. ALREADY_EXISTS: it has not.
  absl::Status Add(store::Token token) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<store::Token> Revoke(const std::string& name) ABSL_LOCKS_EXCLUDED(mutex_);
  // Is there a token of this role that is valid now?
  bool HasValid(Role role) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  friend class AccessGate;
  using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;
  absl::StatusOr<Caller> Identify(const Metadata& metadata, const grpc::AuthContext* peer) const;
  absl::Status Check(const Metadata& metadata, const grpc::AuthContext* peer, std::string_view path) const;
  std::optional<store::Token> Find(const std::string& name) const ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Keep(const store::Token& token) ABSL_LOCKS_EXCLUDED(mutex_);

  Coordinator& coordinator_;
  const bool encrypted_;
  base::Mutex changing_;  // one change of tokens at a time
  mutable base::Mutex mutex_;
  std::map<std::string, store::Token> by_hash_ ABSL_GUARDED_BY(mutex_);
};

// A secret of 256 random bits.
std::string NewSecret();

// Whether `pattern`, a name or the beginning of names with a * behind it, stands for `name`.
bool StandsFor(std::string_view pattern, std::string_view name);

}  // namespace strata::service
