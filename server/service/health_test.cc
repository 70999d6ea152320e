// --health of a coordinator in the clear, under TLS, and of none.
#include "server/service/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/tls/authority.h"
#include "server/service/server.h"

namespace strata::service {
namespace {

using ::testing::HasSubstr;

class HealthTest : public testing::Test {
 protected:
  ~HealthTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Server> Serve(const base::TlsFiles& tls) {
    ServerOptions options;
    options.data_dir = data_;
    options.listen = "127.0.0.1:0";
    options.metrics_listen = "none";
    options.tls = tls;
    auto server = Server::Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    if (!server.ok()) return nullptr;
    EXPECT_TRUE(NoteServing(data_, (*server)->address(), tls).ok());
    return *std::move(server);
  }

  // Files of a coordinator's certificate for `hosts`.
  base::TlsFiles Certificate(const std::string& folder, const std::vector<std::string>& hosts) {
    const absl::Time now = absl::Now();
    EXPECT_TRUE(base::MakeAuthority(folder, now - absl::Hours(1), now + absl::Hours(48), base::Overwrite::kNo).ok());
    const auto files = base::IssueCertificate(
        folder, {"coordinator", "main", hosts, now - absl::Hours(1), now + absl::Hours(24)}, base::Overwrite::kNo);
    EXPECT_TRUE(files.ok()) << files.status();
    return {.ca = folder + "/ca.crt", .cert = files->cert, .key = files->key};
  }

  const std::string folder_ = testing::TempDir() + "/health_" + base::RandomHex(6);
  const std::string data_ = folder_ + "/data";
};

TEST_F(HealthTest, TellsOneThatServesFromNone) {
  EXPECT_THAT(std::string(CheckServing(data_).message()), HasSubstr("No coordinator has served"));
  auto server = Serve({});
  EXPECT_TRUE(CheckServing(data_).ok()) << CheckServing(data_);
  server = nullptr;
  EXPECT_THAT(std::string(CheckServing(data_).message()), HasSubstr("does not answer"));
  ASSERT_TRUE(base::WriteFileAtomically(data_ + "/serving.json", "{").ok());
  EXPECT_THAT(std::string(CheckServing(data_).message()), HasSubstr("damaged"));
}

TEST_F(HealthTest, NeedsNoTokenUnderTls) {
  for (const std::vector<std::string>& hosts :
       {std::vector<std::string>{"coordinator"}, {"*.example.org", "10.0.0.1"}}) {
    const auto server = Serve(Certificate(folder_ + "/" + hosts.front(), hosts));
    EXPECT_TRUE(CheckServing(data_).ok()) << CheckServing(data_);
  }
}

TEST_F(HealthTest, RefusesAStranger) {
  const base::TlsFiles ours = Certificate(folder_ + "/ours", {"coordinator"});
  const auto server = Serve(Certificate(folder_ + "/theirs", {"coordinator"}));
  ASSERT_TRUE(NoteServing(data_, server->address(), ours).ok());
  EXPECT_THAT(std::string(CheckServing(data_).message()), HasSubstr("does not answer"));
}

}  // namespace
}  // namespace strata::service
