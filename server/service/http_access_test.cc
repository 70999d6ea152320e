// Who may read the coordinator's pages.
#include "server/service/http_access.h"

#include <gtest/gtest.h>

#include "server/base/sha256.h"
#include "server/store/memory_store.h"

namespace strata::service {
namespace {

using absl::StatusCode;

base::PageCaller With(const std::string& token, const std::string& role = "") {
  base::PageCaller caller{.token = token};
  if (!role.empty()) caller.certificate = base::Certificate{.role = role, .name = "n"};
  return caller;
}

TEST(MayReadTest, PagesAreForViewersAndAbove) {
  const auto store = store::MakeMemoryStore();
  const auto coordinator = Coordinator::Create(*store, {}, [] { return absl::Now(); });
  ASSERT_TRUE(coordinator.ok()) << coordinator.status();
  Access access(**coordinator, true);
  const absl::Time later = absl::Now() + absl::Hours(1), before = absl::Now() - absl::Hours(1);
  const auto add = [&](const std::string& role, absl::Time expires) {
    const std::string secret = NewSecret();
    EXPECT_TRUE(access
                    .Add({.name = role + absl::FormatTime(expires),
                          .role = role,
                          .sha256 = base::Sha256Hex(secret),
                          .expire_time = expires})
                    .ok());
    return secret;
  };
  const auto code = [&](const base::PageCaller& caller) { return MayRead(access, caller).code(); };
  EXPECT_EQ(code({}), StatusCode::kUnauthenticated);
  EXPECT_EQ(code(With("strata_unknown")), StatusCode::kUnauthenticated);
  EXPECT_EQ(code(With(add("viewer", later))), StatusCode::kOk);
  EXPECT_EQ(code(With(add("viewer", before))), StatusCode::kUnauthenticated);
  EXPECT_EQ(code(With(add("worker", later))), StatusCode::kPermissionDenied);
  for (const char* role : {"viewer", "submitter", "admin"}) EXPECT_EQ(code(With("", role)), StatusCode::kOk) << role;
  EXPECT_EQ(code(With("", "worker")), StatusCode::kPermissionDenied);
  EXPECT_EQ(code(With("", "coordinator")), StatusCode::kUnauthenticated);
  EXPECT_EQ(code(With("strata_unknown", "admin")), StatusCode::kUnauthenticated)
      << "a token stands above a certificate";
  EXPECT_EQ(MayRead(Access(**coordinator, false), {}).code(), StatusCode::kOk) << "in the clear nobody is asked";
}

}  // namespace
}  // namespace strata::service
