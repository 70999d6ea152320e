#include "server/base/http/tls_context.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace strata::base {
namespace {

constexpr absl::Duration kBetweenLooks = absl::Seconds(1);

bool Same(const struct stat& a, const struct stat& b) {
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

absl::Status Refused(const std::string& path) {
  return absl::InvalidArgumentError(absl::StrCat(path, " cannot be used for TLS: ", tls::LastError(), "."));
}

}  // namespace

absl::StatusOr<ServingContext> ServingContext::Make(const TlsFiles& files) {
  ServingContext made(files);
  const Look look = made.LookAtFiles();
  if (absl::Status status = made.Load(); !status.ok()) return status;
  made.seen_ = look;
  return made;
}

ServingContext::Look ServingContext::LookAtFiles() const {
  Look look{};
  const std::string* const paths[] = {&files_.ca, &files_.cert, &files_.key};
  for (size_t i = 0; i < look.size(); ++i)
    (void)::stat(paths[i]->c_str(), &look[i]);  // of one that is not there: zeros
  return look;
}

absl::Status ServingContext::Load() {
  auto authorities = tls::LoadAuthorities(files_.ca);
  if (!authorities.ok()) return authorities.status();
  tls::SslContextPtr context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_cert_store(context.get(), authorities->release());
  SSL_CTX_set_client_CA_list(context.get(), SSL_load_client_CA_file(files_.ca.c_str()));  // browsers choose by them
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files_.cert.c_str()) != 1) return Refused(files_.cert);
  const auto key = tls::LoadKey(files_.key);
  if (!key.ok()) return key.status();
  if (SSL_CTX_use_PrivateKey(context.get(), key->get()) != 1 || SSL_CTX_check_private_key(context.get()) != 1) {
    return Refused(files_.key);
  }
  context_ = std::move(context);
  return absl::OkStatus();
}

tls::SslPtr ServingContext::Accept(int fd) {
  if (const absl::Time now = absl::Now(); now >= next_look_) {
    next_look_ = now + kBetweenLooks;
    const Look look = LookAtFiles();
    bool same = true;
    for (size_t i = 0; i < look.size(); ++i) same = same && Same(look[i], seen_[i]);
    if (!same && Load().ok()) seen_ = look;
  }
  tls::SslPtr ssl(SSL_new(context_.get()));
  SSL_set_fd(ssl.get(), fd);
  SSL_set_accept_state(ssl.get());
  return ssl;
}

}  // namespace strata::base
