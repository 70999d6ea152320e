// Credentials of both ends of a connection: TLS 1.2 or above from files that are read again when they change, so that
// certificates are renewed without a restart, and the token that a caller shows. Thread-safe.
#pragma once

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/tls/certificate.h"

namespace strata::base {

// Of a server: in the clear without files. Callers may show a certificate of the authority, and need not.
std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const TlsFiles& files);

// The token to show with the next call; empty: none. Called from gRPC's threads.
using TokenSource = std::function<std::string()>;

// Of a client: in the clear without files, and then no token is ever sent.
std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const TlsFiles& files, TokenSource token);

// A token from a file, its ends stripped. NotFound, PermissionDenied; InvalidArgument: it holds no token.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

// Reads the file again at each call; what was read last where it cannot be read just now.
TokenSource TokenFromFile(const std::string& path);

}  // namespace strata::base
