// Certificates made by our authority: what stands in them, what is refused, and why a connection fails.
#include "server/base/tls/authority.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/tls/certificate.h"

namespace strata::base {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1'790'000'000);

class AuthorityTest : public testing::Test {
 protected:
  AuthorityTest() : folder_(testing::TempDir() + "/authority_" + RandomHex(6)) {
    EXPECT_TRUE(MakeAuthority(folder_, kNow, kNow + absl::Hours(1000), Overwrite::kNo).ok());
  }
  ~AuthorityTest() override { std::filesystem::remove_all(folder_); }

  CertificateRequest Request(const std::string& role, const std::string& name) {
    return {.role = role, .name = name, .hosts = {"localhost", "127.0.0.1"}, .not_before = kNow, .not_after = kNow + absl::Hours(10)};
  }
  TlsFiles Files(const IssuedFiles& issued) { return {folder_ + "/ca.crt", issued.cert, issued.key}; }

  const std::string folder_;
};

TEST_F(AuthorityTest, ACertificateSaysWhoAndWhereAndBelongsToItsKey) {
  const auto issued = IssueCertificate(folder_, Request("worker", "gpu-1"), Overwrite::kNo);
  ASSERT_TRUE(issued.ok()) << issued.status();
  EXPECT_THAT(issued->cert, HasSubstr("/worker-gpu-1.crt"));
  const auto read = ReadCertificate(issued->cert);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->role, "worker");
  EXPECT_EQ(read->name, "gpu-1");
  EXPECT_THAT(read->hosts, ElementsAre("localhost", "127.0.0.1"));
  EXPECT_EQ(read->not_before, kNow);
  EXPECT_EQ(read->not_after, kNow + absl::Hours(10));
  EXPECT_EQ(CheckTlsFiles(Files(*issued), kNow), absl::OkStatus());
}

TEST_F(AuthorityTest, KeysAreNobodyElsesToRead) {
  const auto issued = IssueCertificate(folder_, Request("admin", "root"), Overwrite::kNo);
  ASSERT_TRUE(issued.ok()) << issued.status();
  for (const std::string& key : {issued->key, folder_ + "/ca.key"}) {
    struct stat info = {};
    ASSERT_EQ(stat(key.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << key;
  }
}

TEST_F(AuthorityTest, OverwritesOnlyWhenTold) {
  ASSERT_TRUE(IssueCertificate(folder_, Request("coordinator", "main"), Overwrite::kNo).ok());
  const std::string key = *ReadFile(folder_ + "/coordinator.key");
  EXPECT_THAT(IssueCertificate(folder_, Request("coordinator", "main"), Overwrite::kNo).status().message(),
              HasSubstr("--renew"));
  CertificateRequest longer = Request("coordinator", "main");
  longer.hosts.clear();
  longer.not_after = kNow + absl::Hours(20);
  ASSERT_TRUE(IssueCertificate(folder_, longer, Overwrite::kRenew).ok());
  EXPECT_EQ(*ReadFile(folder_ + "/coordinator.key"), key) << "renewal keeps the key";
  EXPECT_EQ(ReadCertificate(folder_ + "/coordinator.crt")->not_after, longer.not_after);
  EXPECT_THAT(ReadCertificate(folder_ + "/coordinator.crt")->hosts, ElementsAre("localhost", "127.0.0.1"));
  ASSERT_TRUE(IssueCertificate(folder_, longer, Overwrite::kReplace).ok());
  EXPECT_NE(*ReadFile(folder_ + "/coordinator.key"), key);
}

TEST_F(AuthorityTest, ARenewedAuthorityHoldsForWhatItMadeBefore) {
  const auto issued = IssueCertificate(folder_, Request("worker", "w1"), Overwrite::kNo);
  ASSERT_TRUE(issued.ok());
  EXPECT_FALSE(MakeAuthority(folder_, kNow, kNow + absl::Hours(9000), Overwrite::kNo).ok());
  ASSERT_TRUE(MakeAuthority(folder_, kNow, kNow + absl::Hours(9000), Overwrite::kRenew).ok());
  EXPECT_EQ(CheckTlsFiles(Files(*issued), kNow), absl::OkStatus());
}

TEST_F(AuthorityTest, RefusesWhatIsNoRequest) {
  const auto why = [&](CertificateRequest request) {
    return std::string(IssueCertificate(folder_, request, Overwrite::kNo).status().message());
  };
  EXPECT_THAT(why(Request("root", "a")), HasSubstr("no role"));
  for (const char* name : {"", "A", "a/b", "*", "a*b", "-a", "../ca"}) EXPECT_THAT(why(Request("worker", name)), HasSubstr("no name")) << name;
  EXPECT_THAT(why(Request("viewer", "a*")), HasSubstr("no name"));
  CertificateRequest port = Request("worker", "w");
  port.hosts = {"host:7070"};
  EXPECT_THAT(why(port), HasSubstr("without a port"));
  CertificateRequest extension = Request("worker", "w");
  extension.hosts = {"a,URI:strata://admin/x"};
  EXPECT_THAT(why(extension), HasSubstr("neither a host")) << "no identity is smuggled in";
  CertificateRequest endless = Request("worker", "w");
  endless.not_after = kNow + absl::Hours(5000);
  EXPECT_THAT(why(endless), HasSubstr("renew the authority"));
  EXPECT_EQ(why(Request("worker", "slurm-*")), "");
}

TEST_F(AuthorityTest, SaysWhatIsWrongWithFiles) {
  const auto one = *IssueCertificate(folder_, Request("worker", "w1"), Overwrite::kNo);
  const auto two = *IssueCertificate(folder_, Request("worker", "w2"), Overwrite::kNo);
  const std::string other = folder_ + "/other";
  ASSERT_TRUE(MakeAuthority(other, kNow, kNow + absl::Hours(100), Overwrite::kNo).ok());
  const std::string ca = folder_ + "/ca.crt";
  const std::vector<std::tuple<TlsFiles, absl::Time, std::string>> cases = {
      {{ca, one.cert, two.key}, kNow, "is not that of the certificate"},
      {{ca, one.cert, ""}, kNow, "belong together"},
      {{"", one.cert, one.key}, kNow, "--tls-ca is missing"},
      {{ca, folder_ + "/none.crt", one.key}, kNow, "none.crt"},
      {{ca, one.key, one.key}, kNow, "no certificate"},
      {{other + "/ca.crt", one.cert, one.key}, kNow, "not accepted by the authority"},
      {{ca, one.cert, one.key}, kNow + absl::Hours(11), "has expired: it is valid from 2026-"},
      {{ca, one.cert, one.key}, kNow - absl::Hours(1), "is not valid yet"},
  };
  for (const auto& [files, now, why] : cases) EXPECT_THAT(CheckTlsFiles(files, now).message(), HasSubstr(why)) << why;
}

TEST(IdentityTest, ReadsRoleAndName) {
  std::string role, name;
  EXPECT_TRUE(ParseIdentity("strata://worker/gpu-1", &role, &name));
  EXPECT_EQ(role + " " + name, "worker gpu-1");
  for (const char* bad : {"", "strata://worker", "strata:///x", "strata://worker/", "strata://a/b/c", "https://worker/x"})
    EXPECT_FALSE(ParseIdentity(bad, &role, &name)) << bad;
}

}  // namespace
}  // namespace strata::base
