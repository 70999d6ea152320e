// Whether a coordinator serves on a data folder, told from another process of the same machine: for the health checks
// of container engines, which know neither its port nor its certificates.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "server/base/tls/certificate.h"

namespace strata::service {

// Writes `data_dir`/serving.json: the address that is listened on, and the TLS files.
absl::Status NoteServing(const std::string& data_dir, const std::string& address, const base::TlsFiles& tls);

// Asks the coordinator of `data_dir` by gRPC's health service, over TLS where it has that; its certificate is checked
// as any caller does. OK: it serves. Else a sentence. Takes 5 s at most.
absl::Status CheckServing(const std::string& data_dir);

}  // namespace strata::service
