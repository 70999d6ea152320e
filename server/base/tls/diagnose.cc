#include <netdb.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "server/base/file.h"
#include "server/base/tls/certificate.h"
#include "server/base/tls/openssl.h"

namespace strata::base {

using namespace tls;  // NOLINT: this folder's own

namespace {

constexpr int kSeconds = 2;  // that each step may take
constexpr absl::Duration kBetweenLooks = absl::Milliseconds(200);

struct Address {
  std::string host, port;
};

Address Split(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) return {address, "443"};
  std::string host = address.substr(0, colon);
  if (host.size() > 1 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return {host, address.substr(colon + 1)};
}

FileDescriptor Dial(const Address& address) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found) != 0) return FileDescriptor();
  FileDescriptor connected;
  for (const addrinfo* at = found; at != nullptr && connected.get() < 0; at = at->ai_next) {
    FileDescriptor socket(::socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol));
    const timeval patience{.tv_sec = kSeconds, .tv_usec = 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(socket.get(), at->ai_addr, at->ai_addrlen) == 0) connected = std::move(socket);
  }
  freeaddrinfo(found);
  return connected;
}

// Why the other side's certificate is refused.
std::string ExplainPeer(const std::string& address, const TlsFiles& files, int error, X509* peer, absl::Time now) {
  const Certificate what = peer == nullptr ? Certificate() : Describe(peer);
  const std::string whose = absl::StrCat("The certificate of what answers at ", address);
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return absl::StrCat(whose, " has expired: ", ValidityAt(what, now),
                          ". Renew it ('strata admin certs coordinator --renew'), or set the clock.");
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return absl::StrCat(whose, " is not valid yet: ", ValidityAt(what, now),
                          ". Set the clock of this machine, or of the one that made the certificate.");
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return absl::StrCat(whose, " is for ", what.hosts.empty() ? "no host" : absl::StrJoin(what.hosts, ", "),
                          ". Name it by one of these, or make it again with 'strata admin certs coordinator --host ",
                          Split(address).host, "'.");
    default:
      return absl::StrCat(whose, " was made by the authority \"", what.issuer, "\", which is not the one in ", files.ca,
                          " (", X509_verify_cert_error_string(error),
                          "). Give that authority's file as --tls-ca, if you trust it.");
  }
}

std::string ExplainRefusal(const std::string& address, const TlsFiles& files, const std::string& said, absl::Time now) {
  const auto own = ReadCertificate(files.cert);
  return absl::StrCat("What answers at ", address, " refuses the certificate in ", files.cert,
                      said.empty() ? "" : absl::StrCat(" (", said, ")"), ": ",
                      own.ok() ? ValidityAt(*own, now) : std::string(own.status().message()),
                      ". Compare the clocks of both machines, and make it with the authority that the coordinator has.");
}

// What the other side says right after the handshake: it may refuse our certificate only then.
std::string ListenForRefusal(SSL* ssl, const std::string& address, const TlsFiles& files, absl::Time now) {
  if (!files.identity()) return "";
  static constexpr char kHello[] =
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";  // gRPC's peers begin by this
  SSL_write(ssl, kHello, sizeof kHello);
  char byte;
  ERR_clear_error();
  const int got = SSL_read(ssl, &byte, 1);
  if (got > 0) return "";
  const int error = SSL_get_error(ssl, got);
  if (error == SSL_ERROR_WANT_READ) return "";  // it only waits
  return ExplainRefusal(address, files, LastError(), now);
}

// Keeps the certificate that is refused, for the sentence about it; goes on as OpenSSL would.
int KeepRefused(int accepted, X509_STORE_CTX* context) {
  if (accepted == 1) return 1;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* refused = static_cast<X509Ptr*>(SSL_get_app_data(ssl));
  X509* leaf = X509_STORE_CTX_get0_cert(context);
  if (leaf != nullptr && X509_up_ref(leaf) == 1) refused->reset(leaf);
  return 0;
}

bool Prepare(SSL_CTX* context, const TlsFiles& files) {
  static constexpr unsigned char kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_alpn_protos(context, kHttp2, sizeof kHttp2);
  if (files.ca.empty()) return true;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, KeepRefused);
  if (SSL_CTX_load_verify_locations(context, files.ca.c_str(), nullptr) != 1) return false;
  if (!files.identity()) return true;
  return SSL_CTX_use_certificate_chain_file(context, files.cert.c_str()) == 1 &&
         SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) == 1;
}

void NamePeer(SSL* ssl, const std::string& host) {
  X509_VERIFY_PARAM* parameters = SSL_get0_param(ssl);
  if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host.c_str()) == 1) return;
  ERR_clear_error();
  SSL_set1_host(ssl, host.c_str());
  SSL_set_tlsext_host_name(ssl, host.c_str());
}

std::string Look(const std::string& address, const TlsFiles& files, absl::Time now) {
  const Address where = Split(address);
  const FileDescriptor socket = Dial(where);
  if (socket.get() < 0) return "";
  const SslContextPtr context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || !Prepare(context.get(), files)) return LastError();
  const SslPtr ssl(SSL_new(context.get()));
  X509Ptr refused;
  SSL_set_app_data(ssl.get(), &refused);
  if (files.any()) NamePeer(ssl.get(), where.host);
  SSL_set_fd(ssl.get(), socket.get());
  ERR_clear_error();
  if (SSL_connect(ssl.get()) == 1) {
    if (!files.any()) {
      return absl::StrCat("What answers at ", address,
                          " speaks TLS, and this side does not. Give the file of its authority as --tls-ca.");
    }
    return ListenForRefusal(ssl.get(), address, files, now);
  }
  const int error = static_cast<int>(SSL_get_verify_result(ssl.get()));
  const std::string said = LastError();
  if (!files.any()) return "";
  if (error != X509_V_OK) return ExplainPeer(address, files, error, refused.get(), now);
  if (said.find("alert") != std::string::npos && files.identity()) return ExplainRefusal(address, files, said, now);
  // What is no record of TLS was said by something else; a connection that only ends says nothing.
  if (said.find("wrong version") == std::string::npos && said.find("http request") == std::string::npos) return "";
  return absl::StrCat("What answers at ", address, " does not speak TLS (", said,
                      "). Start it with --tls-cert, or leave --tls-ca away if the network is trusted.");
}

}  // namespace

std::string DiagnoseTls(const std::string& address, const TlsFiles& files, absl::Time now) {
  if (files.any()) {
    if (const absl::Status status = CheckTlsFiles(files, now); !status.ok()) return std::string(status.message());
  }
  if (Look(address, files, now).empty()) return "";
  // One that is just being ended may look like one that refuses. It is gone by now.
  absl::SleepFor(kBetweenLooks);
  return Look(address, files, now);
}

}  // namespace strata::base
