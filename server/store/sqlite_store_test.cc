// What only the store on disk does: groups, migrations, locks, a full disk, kills.
#include "server/store/sqlite_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/ids.h"
#include "server/store/migrate.h"
#include "server/store/sqlite.h"

namespace strata::store {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const char kTrial[] = "experiments/e-1/trials/t1";
const char kJob[] = "experiments/e-1/trials/t1/jobs/train";

std::vector<Write> OneJob() {
  return {InsertExperiment{{1, "experiments/e-1", "request-1", "{}", absl::UnixEpoch(), 1}},
          InsertTrial{{.name = kTrial, .experiment = "experiments/e-1", .spec_json = "{}", .fingerprint = "f"}},
          PutJob{{.name = kJob, .trial = kTrial, .attempts = 1, .create_time = absl::UnixEpoch()}},
          PutAttempt{{.job = kJob, .number = 1, .start_time = absl::UnixEpoch()}}};
}

class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest() : folder_(testing::TempDir() + "/sqlite_" + base::RandomHex(6)), path_(folder_ + "/strata.db") {
    std::filesystem::create_directories(folder_);
  }
  ~SqliteStoreTest() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<Store> Open(SqliteStoreOptions options = {}) {
    auto store = OpenSqliteStore(path_, options);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  const std::string folder_;
  const std::string path_;
};

TEST_F(SqliteStoreTest, KeepsWhatItAcknowledgedWhenOpenedAgain) {
  ASSERT_TRUE(Open()->Apply({.writes = OneJob()}).ok());
  auto store = Open();
  EXPECT_TRUE(store->FindJob(kJob)->has_value());
  EXPECT_EQ(*store->NextExperimentId(), 2);
}

TEST_F(SqliteStoreTest, RefusesASecondCoordinator) {
  const auto store = Open();
  const auto second = OpenSqliteStore(path_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("Another coordinator"));
}

TEST_F(SqliteStoreTest, WritersAtOnceAllGetTheirOwnResult) {
  auto store = Open();
  ASSERT_TRUE(store->Apply({.writes = OneJob()}).ok());
  constexpr int kThreads = 8, kEach = 50;
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kEach; ++i) {
        // Every tenth fails, in the midst of a group, after it has written something.
        Transaction transaction{.writes = {PutScalars{kJob, 1, {{absl::StrCat("s", thread), i, 1.0}}}}};
        if (i % 10 == 9) transaction.writes.push_back(PutScalars{"no such job", 1, {{"x", 1, 1.0}}});
        const bool ok = store->Apply(std::move(transaction)).ok();
        EXPECT_EQ(ok, i % 10 != 9);
        failed += ok ? 0 : 1;
        // What was acknowledged can be read at once.
        if (ok) {
          EXPECT_THAT(*store->Scalars(kJob, absl::StrCat("s", thread), i, 10), SizeIs(1));
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failed, kThreads * kEach / 10);
  int64_t points = 0;
  const auto all = store->ListSeries(kJob);
  ASSERT_TRUE(all.ok());
  for (const Series& series : *all) points += series.points;
  EXPECT_EQ(points, kThreads * kEach * 9 / 10);
}

TEST_F(SqliteStoreTest, AFullDiskIsSaidAndLeavesNothingHalf) {
  auto store = Open({.max_pages = 120});
  ASSERT_TRUE(store->Apply({.writes = OneJob()}).ok());
  absl::Status status;
  int acknowledged = 0;
  for (; status.ok() && acknowledged < 10000; ++acknowledged) {
    status = store->Apply({.writes = {AddWarning{kJob, 1, 2 * acknowledged, std::string(2000, 'x')},
                                      AddWarning{kJob, 1, 2 * acknowledged + 1, std::string(2000, 'x')}}});
  }
  --acknowledged;
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("full"));
  EXPECT_THAT((*store->AttemptsOfJob(kJob))[0].warnings, SizeIs(2 * acknowledged));
}

TEST_F(SqliteStoreTest, AKilledWritersAcknowledgedRowsAreAllThere) {
  ASSERT_TRUE(Open()->Apply({.writes = OneJob()}).ok());
  int32_t told = 0;
  for (int round = 0; round < 3; ++round) {
    int pipe_ends[2];
    ASSERT_EQ(pipe(pipe_ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      auto store = OpenSqliteStore(path_);
      for (int32_t i = told + 1; store.ok(); ++i) {
        if (!(*store)->Apply({.writes = {PutScalars{kJob, 1, {{"a", i, 1.0}}}}}).ok()) break;
        if (write(pipe_ends[1], &i, sizeof(i)) != sizeof(i)) break;
      }
      _exit(1);
    }
    close(pipe_ends[1]);
    for (int i = 0; i < 20 + 13 * round; ++i)
      ASSERT_EQ(read(pipe_ends[0], &told, sizeof(told)), static_cast<ssize_t>(sizeof(told)));
    kill(child, SIGKILL);
    while (read(pipe_ends[0], &told, sizeof(told)) == sizeof(told)) {
    }
    close(pipe_ends[0]);
    waitpid(child, nullptr, 0);
    const auto store = Open();
    const auto points = *store->Scalars(kJob, "a", 0, 1 << 20);
    ASSERT_GE(points.size(), static_cast<size_t>(told));
    for (size_t i = 0; i < points.size(); ++i) EXPECT_EQ(points[i].update, static_cast<int32_t>(i) + 1);
    told = points.back().update;
  }
}

TEST_F(SqliteStoreTest, IsMigratedFromEverySchemaWithTheOldFileKept) {
  const std::vector<std::string_view>& shipped = Migrations();
  for (size_t version = 0; version < shipped.size(); ++version) {
    const std::string path = absl::StrCat(folder_, "/from", version, ".db");
    {
      auto db = *Connection::Open(path);
      ASSERT_TRUE(Migrate(*db, path, {shipped.begin(), shipped.begin() + static_cast<std::ptrdiff_t>(version)}).ok());
    }
    auto store = OpenSqliteStore(path);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_TRUE((*store)->Apply({.writes = OneJob()}).ok());
    EXPECT_EQ(std::filesystem::exists(absl::StrCat(path, ".v", version)), version > 0);
  }
}

TEST_F(SqliteStoreTest, RowsOfTheSchemaBeforeGangsReadAsSingleJobs) {
  const std::vector<std::string_view>& shipped = Migrations();
  {
    auto db = *Connection::Open(path_);
    ASSERT_TRUE(Migrate(*db, path_, {shipped.begin(), shipped.begin() + 2}).ok());
    ASSERT_TRUE(db->Execute("INSERT INTO experiments VALUES (1, 'e', '{}', 0, 1)").ok());
    ASSERT_TRUE(
        db->Execute("INSERT INTO trials (name, experiment, position, spec, fingerprint, dataset, dataset_digest, "
                    "updates) VALUES ('e/t', 'e', 0, '{}', 'f', 'd', 'dd', 9)")
            .ok());
    ASSERT_TRUE(db->Execute("INSERT INTO jobs VALUES ('j', 'e/t', 'TRAIN', 'RUNNING', '', '', '', 0, 4, 1, 1, 0, 5, "
                            "NULL, 0, NULL, 40)")
                    .ok());
    ASSERT_TRUE(db->Execute("INSERT INTO attempts (job, number, places, start_time, outcome, cause, message, "
                            "rendezvous, ranks_up) VALUES ('j', 1, "
                            "'[{\"rank\":0,\"worker\":\"w\",\"slot\":2,\"up\":true,\"done\":false}]', 0, '', "
                            "'', '', '', 1)")
                    .ok());
    ASSERT_TRUE(db->Execute("INSERT INTO workers VALUES ('w', 'u', 's', '[]', 'READY', 0, 0, 'v', 'h', 'a')").ok());
  }
  const core::State state = *Open()->LoadState();
  const core::Job& job = state.jobs.at("j");
  EXPECT_EQ(job.priority, 0);
  EXPECT_FALSE(job.held);
  EXPECT_EQ(job.min_ranks, 0);
  EXPECT_EQ(job.checkpoint_update, 40);
  const core::Attempt& attempt = state.attempts.at({"j", 1});
  ASSERT_THAT(attempt.places, SizeIs(1));
  EXPECT_EQ(attempt.places[0], (core::RankPlace{.worker = "w", .slot = 2, .up = true}));
  EXPECT_EQ(attempt.stop_reason, "");
  EXPECT_FALSE(state.workers.at("w").cordoned || state.workers.at("w").draining);
}

TEST_F(SqliteStoreTest, AnOlderDatabaseIsCopiedAsideAndItsRowsStay) {
  ASSERT_TRUE(Open()->Apply({.writes = OneJob()}).ok());
  auto db = *Connection::Open(path_);
  std::vector<std::string_view> migrations = Migrations();
  const size_t old = migrations.size();
  migrations.push_back("ALTER TABLE workers ADD COLUMN colour TEXT NOT NULL DEFAULT ''");
  ASSERT_TRUE(Migrate(*db, path_, migrations).ok());
  EXPECT_TRUE(std::filesystem::exists(absl::StrCat(path_, ".v", old)));
  Query kept(*db, "SELECT count(*) FROM jobs");
  ASSERT_TRUE(kept.Next());
  EXPECT_EQ(kept.Int(0), 1);
}

TEST_F(SqliteStoreTest, AMigrationThatFailsChangesNothing) {
  ASSERT_TRUE(Open()->Apply({.writes = OneJob()}).ok());
  auto db = *Connection::Open(path_);
  std::vector<std::string_view> migrations = Migrations();
  migrations.push_back("CREATE TABLE half (a) ; no SQL at all");
  EXPECT_FALSE(Migrate(*db, path_, migrations).ok());
  db = nullptr;
  EXPECT_TRUE(Open()->FindJob(kJob)->has_value());
}

TEST_F(SqliteStoreTest, ANewerDatabaseIsRefusedWithBothVersionsNamed) {
  ASSERT_TRUE(Open()->Apply({.writes = OneJob()}).ok());
  ASSERT_TRUE((*Connection::Open(path_))->Execute("PRAGMA user_version = 99").ok());
  const auto refused = OpenSqliteStore(path_);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("99"));
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(absl::StrCat("up to ", Migrations().size())));
  auto db = *Connection::Open(path_);
  Query kept(*db, "SELECT count(*) FROM jobs");
  ASSERT_TRUE(kept.Next());
  EXPECT_EQ(kept.Int(0), 1);
}

TEST_F(SqliteStoreTest, AFileThatIsNoDatabaseIsRefused) {
  {
    std::FILE* file = std::fopen(path_.c_str(), "w");
    std::fputs(std::string(8192, 'x').c_str(), file);
    std::fclose(file);
  }
  const auto refused = OpenSqliteStore(path_);
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr(path_));
}

}  // namespace
}  // namespace strata::store
