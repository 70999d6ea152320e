// Tokens and the audit log, the same in both stores.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "server/base/ids.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"

namespace strata::store {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Store>(const std::string& folder)> make;
};

class AccessStoreTest : public testing::TestWithParam<Kind> {
 protected:
  AccessStoreTest() : folder_(testing::TempDir() + "/access_store_" + base::RandomHex(6)) {
    std::filesystem::create_directories(folder_);
    store_ = GetParam().make(folder_);
  }
  ~AccessStoreTest() override {
    store_ = nullptr;
    std::filesystem::remove_all(folder_);
  }
  absl::Status Apply(std::vector<Write> writes) { return store_->Apply({.writes = std::move(writes)}); }
  std::vector<int64_t> Numbers(const AuditFilter& filter) {
    std::vector<int64_t> numbers;
    const auto rows = store_->ListAudit(filter, 10);
    for (const AuditEntry& row : *rows) numbers.push_back(row.number);
    return numbers;
  }

  const std::string folder_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(
    Stores, AccessStoreTest,
    testing::Values(Kind{"memory", [](const std::string&) { return MakeMemoryStore(); }},
                    Kind{"sqlite", [](const std::string& folder) { return *OpenSqliteStore(folder + "/strata.db"); }}),
    [](const auto& info) { return info.param.name; });

TEST_P(AccessStoreTest, KeepsTokensByName) {
  Token token{.name = "alice",
              .role = "submitter",
              .sha256 = "h1",
              .create_time = absl::FromUnixSeconds(10),
              .expire_time = absl::FromUnixSeconds(20),
              .creator = "root"};
  ASSERT_EQ(Apply({PutToken{token}}), absl::OkStatus());
  EXPECT_THAT(*store_->ListTokens("", 10), ElementsAre(token));
  token.revoke_time = absl::FromUnixSeconds(15);
  ASSERT_EQ(Apply({PutToken{token}}), absl::OkStatus());
  EXPECT_THAT(*store_->ListTokens("", 10), ElementsAre(token));
  EXPECT_THAT(*store_->ListTokens("alice", 10), IsEmpty());
}

TEST_P(AccessStoreTest, ListsTheAuditLogNewestFirstAndByWhatIsAsked) {
  const auto entry = [](int64_t at, const char* caller, const char* method, const char* target) {
    return AddAuditEntry{{.time = absl::FromUnixSeconds(at),
                          .caller = caller,
                          .role = "submitter",
                          .method = method,
                          .target = target,
                          .request_id = "r",
                          .peer = "ipv4:1"}};
  };
  ASSERT_EQ(Apply({entry(1, "alice", "JobService/CancelJob", "experiments/e-1/trials/t1/jobs/train"),
                   entry(2, "bob", "ExperimentService/CancelExperiment", "experiments/e-1"),
                   entry(3, "bob", "ExperimentService/CancelExperiment", "experiments/e-10")}),
            absl::OkStatus());
  EXPECT_THAT(Numbers({}), ElementsAre(3, 2, 1));
  EXPECT_THAT(Numbers({.before = 3}), ElementsAre(2, 1));
  EXPECT_THAT(Numbers({.caller = "alice"}), ElementsAre(1));
  EXPECT_THAT(Numbers({.method = "CancelJob"}), ElementsAre(1));
  EXPECT_THAT(Numbers({.method = "ExperimentService/CancelExperiment"}), ElementsAre(3, 2));
  EXPECT_THAT(Numbers({.target = "experiments/e-1"}), ElementsAre(2, 1)) << "and what lies below, but not e-10";
  EXPECT_THAT(Numbers({.start = absl::FromUnixSeconds(2), .end = absl::FromUnixSeconds(3)}), ElementsAre(2));
  EXPECT_EQ((*store_->ListAudit({}, 1))[0].time, absl::FromUnixSeconds(3));
}

}  // namespace
}  // namespace strata::store
