#include "server/base/rpc/credentials.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/mutex.h"

namespace strata::base {
namespace {

namespace tls = grpc::experimental;

constexpr unsigned kSecondsBetweenLooks = 1;

std::shared_ptr<tls::FileWatcherCertificateProvider> Watch(const TlsFiles& files) {
  return std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.cert, files.ca, kSecondsBetweenLooks);
}

// Shows a token with every call of a channel.
class TokenPlugin final : public grpc::MetadataCredentialsPlugin {
 public:
  explicit TokenPlugin(TokenSource source) : source_(std::move(source)) {}
  bool IsBlocking() const override { return false; }
  const char* GetType() const override { return "strata-token"; }
  grpc::Status GetMetadata(grpc::string_ref, grpc::string_ref, const grpc::AuthContext&,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    if (const std::string token = source_(); !token.empty()) metadata->insert({"authorization", "Bearer " + token});
    return grpc::Status::OK;
  }
  // gRPC's traces print this: never the token.
  grpc::string DebugString() override { return "strata-token"; }

 private:
  const TokenSource source_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> ServerCredentials(const TlsFiles& files) {
  if (!files.any()) return grpc::InsecureServerCredentials();
  tls::TlsServerCredentialsOptions options(Watch(files));
  options.watch_identity_key_cert_pairs();
  options.watch_root_certs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> ChannelCredentials(const TlsFiles& files, TokenSource token) {
  if (!files.any()) return grpc::InsecureChannelCredentials();
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(Watch(files));
  options.watch_root_certs();
  if (files.identity()) options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_certificate_verifier(std::make_shared<tls::HostNameCertificateVerifier>());
  const auto channel = tls::TlsCredentials(options);
  if (!token) return channel;
  return grpc::CompositeChannelCredentials(
      channel, grpc::MetadataCredentialsFromPlugin(std::make_unique<TokenPlugin>(std::move(token))));
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  const auto text = ReadFile(path);
  if (!text.ok()) return text.status();
  const std::string token(absl::StripAsciiWhitespace(*text));
  if (token.empty() || token.find_first_of(" \n\r\t") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(path, " holds no token: one word is expected, as 'strata admin token create' prints it."));
  }
  return token;
}

TokenSource TokenFromFile(const std::string& path) {
  struct Last {
    Mutex mutex;
    std::string token ABSL_GUARDED_BY(mutex);
  };
  return [path, last = std::make_shared<Last>()] {
    const auto token = ReadTokenFile(path);
    MutexLock lock(last->mutex);
    if (token.ok()) last->token = *token;
    return last->token;
  };
}

}  // namespace strata::base
