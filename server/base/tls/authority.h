// A private authority in a folder: ca.crt and ca.key, and beside them the certificates that it makes, as NAME.crt and NAME.key
// (EC P-256; keys of mode 0600; each file written whole or not at all). Not thread-safe towards the same folder.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace strata::base {

enum class Overwrite {
  kNo,       // AlreadyExists if there is one
  kRenew,    // the key stays, the certificate is made again: only one file changes
  kReplace,  // both are made again
};

struct CertificateRequest {
  std::string role;                // coordinator, worker, or a person's: viewer, submitter, admin
  std::string name;                // of the worker or person; a worker's may end with a *
  std::vector<std::string> hosts;  // names and addresses under which it serves
  absl::Time not_before, not_after;
};

struct IssuedFiles {
  std::string cert, key;
};

// The authority itself; makes the folder. A renewed one has the same key and name: what it made stays valid.
absl::StatusOr<IssuedFiles> MakeAuthority(const std::string& folder, absl::Time not_before, absl::Time not_after,
                                          Overwrite overwrite);

// A certificate of the folder's authority. Its files are coordinator.*, worker-NAME.* or user-NAME.*.
// With kRenew and no hosts it keeps the hosts that it has. NotFound: there is no authority, or nothing to renew.
// InvalidArgument: bad role, name or host, or it would outlive the authority.
absl::StatusOr<IssuedFiles> IssueCertificate(const std::string& folder, const CertificateRequest& request,
                                             Overwrite overwrite);

}  // namespace strata::base
