// Rows of who may come in and who changed what. Roles are their names: viewer, submitter, admin, worker.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/time/time.h"

namespace strata::store {

struct Token {
  std::string name;  // without tokens/
  std::string role;
  std::string sha256;  // of the secret
  absl::Time create_time;
  absl::Time expire_time;
  absl::Time revoke_time = absl::InfiniteFuture();  // infinite: not revoked
  std::string creator;
  bool operator==(const Token&) const = default;
};

struct AuditEntry {
  int64_t number = 0;  // given by the store, rising
  absl::Time time;
  std::string caller;
  std::string role;
  std::string method;  // ExperimentService/CancelExperiment
  std::string target;  // a resource's name
  std::string request_id;
  std::string peer;
  bool operator==(const AuditEntry&) const = default;
};

// Which entries; what is empty holds for all.
struct AuditFilter {
  int64_t before = std::numeric_limits<int64_t>::max();  // number
  std::string caller;
  std::string method;  // whole, or what follows the slash
  std::string target;  // it, and what lies below it
  absl::Time start = absl::UnixEpoch();
  absl::Time end = absl::InfiniteFuture();
};

}  // namespace strata::store
