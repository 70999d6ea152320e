// Pages over real sockets, with real certificates: what is answered to whom, and that nobody holds up the others.
#include "server/base/http/pages.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/file.h"
#include "server/base/http/exposure.h"
#include "server/base/ids.h"
#include "server/base/tls/authority.h"
#include "server/base/tls/openssl.h"

namespace strata::base {
namespace {

constexpr size_t kHuge = 16 << 20;  // bytes of a page: more than sockets hold

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

// One end of a connection to 127.0.0.1; under TLS after Secure.
class Client {
 public:
  explicit Client(int port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
  }
  // False: the handshake failed. Under TLS 1.3 a refusal of our certificate is only seen when reading.
  bool Secure(const TlsFiles& files, int newest = TLS1_3_VERSION) {
    context_.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_cert_store(context_.get(), tls::LoadAuthorities(files.ca)->release());
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_.get(), newest);
    SSL_CTX_set_security_level(context_.get(), 0);
    if (files.identity()) {
      SSL_CTX_use_certificate_file(context_.get(), files.cert.c_str(), SSL_FILETYPE_PEM);
      SSL_CTX_use_PrivateKey_file(context_.get(), files.key.c_str(), SSL_FILETYPE_PEM);
    }
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_fd(ssl_.get(), socket_.get());
    return SSL_connect(ssl_.get()) == 1;
  }
  // When the certificate that is served ends.
  absl::Time ServedUntil() const {
    const tls::X509Ptr shown(SSL_get1_peer_certificate(ssl_.get()));
    return tls::Describe(shown.get()).not_after;
  }
  bool Send(const std::string& text) {
    if (ssl_ != nullptr) return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0;
    return ::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  // All until the other end closes.
  std::string Rest() {
    std::string text;
    char buffer[65536];
    for (;;) {
      const ssize_t count = ssl_ != nullptr ? SSL_read(ssl_.get(), buffer, sizeof buffer)
                                            : ::recv(socket_.get(), buffer, sizeof buffer, 0);
      if (count <= 0) return text;
      text.append(buffer, static_cast<size_t>(count));
    }
  }
  std::string Ask(const std::string& request) { return Send(request) ? Rest() : ""; }

 private:
  FileDescriptor socket_;
  tls::SslContextPtr context_;
  tls::SslPtr ssl_;
};

std::string Get(const std::string& path, const std::string& headers = "") {
  return absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: x\r\n", headers, "\r\n");
}

std::string BodyOf(const std::string& answer) {
  const size_t head = answer.find("\r\n\r\n");
  return head == std::string::npos ? "" : answer.substr(head + 4);
}

std::unique_ptr<Pages> Serve(Pages::Options options) {
  options.listen = "127.0.0.1:0";
  auto pages =
      Pages::Serve(std::move(options), {{"/figures",
                                         [] {
                                           return Page{"text/plain; charset=utf-8", std::string(2000, 'x').append("\n")};
                                         }},
                                        {"/huge", [] {
                                           return Page{"application/octet-stream", std::string(kHuge, 'x')};
                                         }}});
  if (!pages.ok()) {
    ADD_FAILURE() << pages.status();
    abort();
  }
  return *std::move(pages);
}

TEST(PagesTest, AnswersWhatCanBeReadAndSaysWhatElseThereIs) {
  const auto pages = Serve({});
  const auto ask = [&](const std::string& request) { return Client(pages->port()).Ask(request); };
  const std::string answer = ask(Get("/figures?verbose=1"));
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer,
              AllOf(HasSubstr("Content-Type: text/plain; charset=utf-8\r\n"), HasSubstr("Content-Length: 2001\r\n"),
                    HasSubstr("Cache-Control: no-store\r\n"), HasSubstr("Connection: close\r\n")));
  EXPECT_EQ(BodyOf(answer), std::string(2000, 'x') + "\n");
  EXPECT_THAT(ask("GET /figures HTTP/1.0\r\n\r\n"), HasSubstr("200 OK"));
  const std::string head = ask("HEAD /figures HTTP/1.1\r\n\r\n");
  EXPECT_THAT(head, AllOf(HasSubstr("200 OK"), HasSubstr("Content-Length: 2001")));
  EXPECT_THAT(BodyOf(head), IsEmpty());
  EXPECT_THAT(ask(Get("/figures/more")), AllOf(HasSubstr("404"), HasSubstr("There are: /figures /huge")));
  EXPECT_THAT(ask("POST /figures HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
              AllOf(HasSubstr("405"), HasSubstr("Allow: GET, HEAD")));
  EXPECT_THAT(ask("DELETE /figures HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"), HasSubstr("405"));
  EXPECT_THAT(ask("what is this\r\n\r\n"), HasSubstr("HTTP/1.1 400"));
}

TEST(PagesTest, PacksForWhoeverCanUnpack) {
  const auto pages = Serve({});
  const auto packed = [&](const std::string& accepts) {
    const std::string answer =
        Client(pages->port()).Ask(Get("/figures", absl::StrCat("Accept-Encoding: ", accepts, "\r\n")));
    return answer.find("Content-Encoding: gzip") != std::string::npos && BodyOf(answer).substr(0, 2) == "\x1f\x8b" &&
           answer.size() < 500;
  };
  EXPECT_TRUE(packed("gzip"));
  EXPECT_TRUE(packed("br, deflate, gzip"));
  EXPECT_FALSE(packed("br"));
  EXPECT_FALSE(packed("gzip;q=0"));
}

TEST(PagesTest, StandsWhatNobodyShouldSend) {
  const auto pages = Serve({});
  const auto ask = [&](const std::string& request) { return Client(pages->port()).Ask(request); };
  EXPECT_THAT(ask(Get("/figures", absl::StrCat("X: ", std::string(20000, 'y'), "\r\n"))), HasSubstr("HTTP/1.1 431"));
  std::string many;
  for (int i = 0; i < 3000; ++i) many += "a:b\r\n";
  EXPECT_THAT(ask(Get("/figures", many)), HasSubstr("HTTP/1.1 "));
  std::string ranges = "Range: bytes=0-1";
  while (ranges.size() < 8000) ranges += ",0-1";
  EXPECT_THAT(ask(Get("/figures", ranges + "\r\n")), Not(HasSubstr("multipart")));
  EXPECT_THAT(ask(Get("/figures", "Range: bytes=0-1\r\n")), HasSubstr("Content-Length: 2001"));
  EXPECT_THAT(ask(Get("/" + std::string(9000, 'z'))), HasSubstr("HTTP/1.1 4"));
  EXPECT_THAT(ask(Get("/figures")), HasSubstr("200 OK"));
}

TEST(PagesTest, ASilentOrSlowClientHoldsNobodyUp) {
  const auto pages = Serve({.patience = absl::Milliseconds(250), .most_connections = 16});
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 40; ++i) {
    silent.push_back(std::make_unique<Client>(pages->port()));
    if (i % 2 == 0) silent.back()->Send("GET /fig");
  }
  EXPECT_THAT(Client(pages->port()).Ask(Get("/figures")), HasSubstr("200 OK"));
  Client drip(pages->port());
  bool open = true;
  for (char letter : std::string(100, 'G')) {  // the time counts from the first byte, not from the last
    open = drip.Send(std::string(1, letter));
    if (!open) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_FALSE(open) << "it was let go on for eight times its patience";
  EXPECT_THAT(silent.back()->Rest(), IsEmpty()) << "the last one is closed when its time is over";

  std::vector<std::unique_ptr<Client>> full;  // more than there are threads: they ask, and do not read
  for (int i = 0; i < 6; ++i) {
    full.push_back(std::make_unique<Client>(pages->port()));
    full.back()->Send(Get("/huge"));
  }
  EXPECT_THAT(Client(pages->port()).Ask(Get("/figures")), HasSubstr("200 OK"));
}

TEST(PagesTest, EndsAtOnceWhateverItsClientsDo) {
  auto pages = Serve({.patience = absl::Hours(1)});
  Client silent(pages->port()), reader(pages->port());
  reader.Send(Get("/huge"));
  EXPECT_THAT(Client(pages->port()).Ask(Get("/figures")), HasSubstr("200 OK"));
  pages = nullptr;
  EXPECT_THAT(silent.Rest(), IsEmpty());
  EXPECT_LT(reader.Rest().size(), kHuge);
}

TEST(PagesTest, SharesItsPortWithNobody) {
  const auto pages = Serve({});
  const std::string listen = absl::StrCat("127.0.0.1:", pages->port());
  EXPECT_EQ(Pages::Serve({.listen = listen}, {}).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Pages::Serve({.listen = "7071"}, {}).status().code(), absl::StatusCode::kFailedPrecondition);
}

class HttpsTest : public testing::Test {
 protected:
  HttpsTest() : folder_(testing::TempDir() + "/https_" + RandomHex(6)) {
    files_ = Authority("ours", "coordinator", "main");
    options_.tls = files_;
    options_.guard = [](const PageCaller& caller) {
      if (caller.certificate)
        return absl::PermissionDeniedError(absl::StrCat(caller.certificate->role, " ", caller.certificate->name));
      if (caller.token == "good") return absl::OkStatus();
      return absl::UnauthenticatedError(absl::StrCat("token: ", caller.token));
    };
  }
  ~HttpsTest() override { std::filesystem::remove_all(folder_); }

  static CertificateRequest Request(const std::string& role, const std::string& name, int days = 2) {
    return {.role = role,
            .name = name,
            .hosts = {"127.0.0.1"},
            .not_before = absl::Now() - absl::Hours(1),
            .not_after = absl::Now() + absl::Hours(24 * days)};
  }
  // A certificate of the authority in that folder, which is made first if need be.
  TlsFiles Authority(const std::string& folder, const std::string& role, const std::string& name) {
    const std::string path = folder_ + "/" + folder;
    (void)MakeAuthority(path, absl::Now() - absl::Hours(2), absl::Now() + absl::Hours(24 * 30), Overwrite::kNo);
    const auto issued = IssueCertificate(path, Request(role, name), Overwrite::kNo);
    EXPECT_TRUE(issued.ok()) << issued.status();
    return {path + "/ca.crt", issued->cert, issued->key};
  }
  std::string Ask(int port, TlsFiles files, const std::string& headers = "") {
    files.ca = files_.ca;
    Client client(port);
    return client.Secure(files) ? client.Ask(Get("/figures", headers)) : "";
  }

  const std::string folder_;
  TlsFiles files_;
  Pages::Options options_;
};

TEST_F(HttpsTest, TheGuardHearsOfTokenAndCertificate) {
  const auto pages = Serve(options_);
  EXPECT_THAT(Ask(pages->port(), {}, "Authorization: Bearer good\r\n"), HasSubstr("200 OK"));
  EXPECT_THAT(Ask(pages->port(), {}, absl::StrCat("Authorization: basic ", absl::Base64Escape("any:good"), "\r\n")),
              HasSubstr("200 OK"));
  const std::string nobody = Ask(pages->port(), {});
  EXPECT_THAT(nobody, AllOf(HasSubstr("401 Unauthorized"), HasSubstr("WWW-Authenticate: Basic realm=\"strata\""),
                            HasSubstr("token: \n")));
  EXPECT_THAT(Ask(pages->port(), {}, "Authorization: Bearer bad\r\n"),
              AllOf(HasSubstr("401"), HasSubstr("token: bad")));
  EXPECT_THAT(Ask(pages->port(), {}, "Authorization: Basic !\r\n"), AllOf(HasSubstr("401"), HasSubstr("token: \n")));
  EXPECT_THAT(Ask(pages->port(), Authority("ours", "viewer", "vera")),
              AllOf(HasSubstr("403 Forbidden"), HasSubstr("viewer vera")));
  EXPECT_THAT(Ask(pages->port(), Authority("theirs", "viewer", "vera")), IsEmpty()) << "the handshake fails";
  EXPECT_THAT(Ask(pages->port(), {}), HasSubstr("401")) << "and the server goes on";
}

TEST_F(HttpsTest, RefusesOtherLanguages) {
  const auto pages = Serve(options_);
  EXPECT_THAT(Client(pages->port()).Ask(Get("/figures")), AllOf(HasSubstr("400 Bad Request"), HasSubstr("https://")));
  EXPECT_FALSE(Client(pages->port()).Secure({.ca = files_.ca}, TLS1_1_VERSION));
  EXPECT_TRUE(Client(pages->port()).Secure({.ca = files_.ca}, TLS1_2_VERSION));
  Client noise(pages->port());
  noise.Send(std::string("\x16\x03\x01", 3) + std::string(600, '\xff'));
  EXPECT_THAT(Ask(pages->port(), {}), HasSubstr("401"));
}

TEST_F(HttpsTest, ASilentHandshakeHoldsNobodyUp) {
  options_.most_connections = 8;
  const auto pages = Serve(options_);
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 20; ++i) {
    silent.push_back(std::make_unique<Client>(pages->port()));
    if (i % 2 == 0) silent.back()->Send(std::string("\x16\x03\x01\x02", 4));
  }
  EXPECT_THAT(Ask(pages->port(), {}), HasSubstr("401"));
}

TEST_F(HttpsTest, ARenewedCertificateIsServedWithoutARestart) {
  const auto pages = Serve(options_);
  const auto served = [&] {
    Client client(pages->port());
    EXPECT_TRUE(client.Secure({.ca = files_.ca}));
    return client.ServedUntil();
  };
  const absl::Time before = served();
  // Half of a new pair, as between two renames: the former one serves on.
  const auto key = ReadFile(files_.key), cert = ReadFile(files_.cert);
  ASSERT_TRUE(IssueCertificate(folder_ + "/ours", Request("coordinator", "main", 9), Overwrite::kReplace).ok());
  const auto renewed = ReadFile(files_.cert);
  ASSERT_TRUE(WriteFileAtomically(files_.cert, *cert).ok());
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_EQ(served(), before);
  ASSERT_TRUE(WriteFileAtomically(files_.cert, *renewed).ok());
  absl::Time now = before;
  for (int i = 0; i < 100 && now == before; ++i) {
    absl::SleepFor(absl::Milliseconds(50));
    now = served();
  }
  EXPECT_GT(now, before + absl::Hours(24 * 6));
}

TEST_F(HttpsTest, SaysWhatIsWrongWithItsFiles) {
  options_.listen = "127.0.0.1:0";
  options_.tls.key = Authority("ours", "viewer", "vera").key;
  EXPECT_THAT(Pages::Serve(options_, {}).status().message(), HasSubstr("user-vera.key cannot be used for TLS"));
  options_.tls.ca = "/nowhere";
  EXPECT_THAT(Pages::Serve(options_, {}).status().message(), HasSubstr("/nowhere"));
}

TEST(ExposureTest, BeyondLoopbackInTheClearOnlyIfToldSo) {
  for (const std::string loopback : {"127.0.0.1:1", "127.9.9.9:0", "localhost:7071", "[::1]:7071"})
    EXPECT_TRUE(CheckExposure("--listen", loopback, false, false).ok()) << loopback;
  for (const std::string beyond : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "strata.lan:1"}) {
    EXPECT_THAT(CheckExposure("--listen", beyond, false, false).message(),
                HasSubstr("--listen " + beyond + " would serve other machines in the clear"));
    EXPECT_TRUE(CheckExposure("--listen", beyond, true, false).ok()) << beyond;
    EXPECT_TRUE(CheckExposure("--listen", beyond, false, true).ok()) << beyond;
  }
  for (const std::string wrong : {"", "7071", ":7071", "host:", "host:x", "host:70000", "[]:1"})
    EXPECT_EQ(CheckExposure("--listen", wrong, true, true).code(), absl::StatusCode::kInvalidArgument) << wrong;
}

}  // namespace
}  // namespace strata::base
