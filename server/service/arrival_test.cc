// Chunks of one upload that come at once, while the disk is slow or fails.
#include "server/service/arrival.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <future>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace strata::service {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMiB = 1 << 20;

bool Never() { return false; }

class ArrivalTest : public ::testing::Test {
 protected:
  ArrivalTest() : path_(absl::StrCat(::testing::TempDir(), "/arrival-", ::getpid())) {
    EXPECT_TRUE(base::OpenFile(path_, O_WRONLY | O_CREAT | O_TRUNC).ok());
  }
  ~ArrivalTest() override { std::filesystem::remove(path_); }

  // Each byte tells where it stands.
  static std::string Content(int64_t offset, int64_t bytes) {
    std::string data(static_cast<size_t>(bytes), '\0');
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = static_cast<char>((static_cast<size_t>(offset) + i) * 2654435761u >> 24);
    return data;
  }
  static absl::Status Take(Arrival& arrival, int64_t offset, int64_t bytes) {
    return arrival.Take(offset, Content(offset, bytes), Never);
  }
  // Chunk after chunk up to `until`; the first error ends it.
  static absl::Status TakeAll(Arrival& arrival, int64_t from, int64_t until) {
    for (int64_t offset = from; offset < until; offset += kLargestChunk) {
      if (absl::Status status = Take(arrival, offset, std::min(kLargestChunk, until - offset)); !status.ok())
        return status;
    }
    return absl::OkStatus();
  }
  static absl::StatusOr<std::string> Finish(Arrival& arrival) { return arrival.Finish(absl::InfiniteFuture()); }

  const std::string path_;
};

TEST_F(ArrivalTest, ChunksInAnyOrderMakeTheFileAndItsHash) {
  constexpr int64_t kBytes = 5 * kMiB;
  Arrival arrival(path_, kBytes);
  std::vector<std::future<absl::Status>> taken;
  for (const int64_t offset : {4 * kMiB, 2 * kMiB, 3 * kMiB, 1 * kMiB, 0 * kMiB}) {
    taken.push_back(std::async(std::launch::async, [&arrival, offset] { return Take(arrival, offset, kMiB); }));
  }
  for (auto& status : taken) EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(*Finish(arrival), base::Sha256Hex(Content(0, kBytes)));
  EXPECT_EQ(*Finish(arrival), base::Sha256Hex(Content(0, kBytes))) << "once more";
  EXPECT_EQ(*base::ReadFile(path_), Content(0, kBytes));
}

TEST_F(ArrivalTest, RefusesWhatIsNotWhereTheFileStands) {
  Arrival arrival(path_, 100 * kMiB);
  ASSERT_TRUE(Take(arrival, 0, kMiB).ok());
  for (const auto& [offset, given_up] : std::vector<std::pair<int64_t, bool>>{
           {0, false}, {kMiB - 1, false}, {kMiB + 16 * kMiB + 1, false}, {3 * kMiB, true}}) {
    const absl::Status status = arrival.Take(offset, "chunk", [given_up = given_up] { return given_up; });
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << offset;
    EXPECT_THAT(std::string(status.message()), HasSubstr("stands at 1048576")) << offset;
  }
  EXPECT_EQ(Take(arrival, 2 * kMiB, kMiB).code(), absl::StatusCode::kFailedPrecondition) << "none came before it";
  EXPECT_EQ(Take(arrival, 99 * kMiB, 2 * kMiB).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Take(arrival, -1, 1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(arrival.over());
  EXPECT_TRUE(Take(arrival, kMiB, kMiB).ok());
}

TEST_F(ArrivalTest, AChunkThatCameInItsTurnIsKeptThoughItsSenderDied) {
  Arrival arrival(path_, 5);
  EXPECT_TRUE(arrival.Take(0, "whole", [] { return true; }).ok());
  EXPECT_EQ(*Finish(arrival), base::Sha256Hex("whole"));
}

TEST_F(ArrivalTest, ANewOneHashesWhatAnEarlierOneTook) {
  constexpr int64_t kBytes = 3 * kMiB;
  {
    Arrival earlier(path_, kBytes);
    ASSERT_TRUE(Take(earlier, 0, kMiB).ok());
  }
  Arrival arrival(path_, kBytes);
  EXPECT_EQ(arrival.Finish(absl::InfinitePast()).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(Take(arrival, kMiB, 2 * kMiB).ok());
  EXPECT_EQ(*Finish(arrival), base::Sha256Hex(Content(0, kBytes)));
}

TEST_F(ArrivalTest, ChunksAreTakenWhileTheDiskSyncsButLessThan20MiBAhead) {
  std::atomic<int64_t> taken = 0;
  std::atomic<int> syncs = 0;
  const auto slow = [&](const base::FileDescriptor&, const std::string&) {
    if (++syncs > 1) return absl::OkStatus();
    // As long as the disk is not done with the first 8 MiB, 12 are taken, and no more.
    for (int i = 0; i < 10000 && taken < 12 * kMiB; ++i) absl::SleepFor(absl::Milliseconds(1));
    absl::SleepFor(absl::Milliseconds(20));
    EXPECT_EQ(taken, 12 * kMiB);
    return absl::OkStatus();
  };
  constexpr int64_t kBytes = 20 * kMiB;
  Arrival arrival(path_, kBytes, slow);
  for (int64_t offset = 0; offset < kBytes; offset += kLargestChunk) {
    ASSERT_TRUE(Take(arrival, offset, kLargestChunk).ok());
    taken += kLargestChunk;
  }
  EXPECT_TRUE(Finish(arrival).ok());
  EXPECT_EQ(syncs, 3);
}

TEST_F(ArrivalTest, ASyncThatFailsTakesBackWhatItShouldHaveSaved) {
  constexpr int64_t kBytes = 30 * kMiB;
  int syncs = 0;
  Arrival arrival(path_, kBytes, [&](const base::FileDescriptor&, const std::string& path) {
    return ++syncs == 2 ? base::FileError(ENOSPC, "sync", path) : absl::OkStatus();
  });
  EXPECT_EQ(TakeAll(arrival, 0, kBytes).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(arrival.over());
  EXPECT_EQ(base::FileSize(path_), 8 * kMiB);
  EXPECT_EQ(Take(arrival, 8 * kMiB, kMiB).code(), absl::StatusCode::kFailedPrecondition) << "this one is over";
  EXPECT_FALSE(Finish(arrival).ok());
  Arrival next(path_, kBytes);
  EXPECT_TRUE(TakeAll(next, 8 * kMiB, kBytes).ok());
  EXPECT_EQ(*Finish(next), base::Sha256Hex(Content(0, kBytes)));
}

TEST_F(ArrivalTest, AnEndThatCannotBeSyncedIsNoEnd) {
  Arrival arrival(path_, kMiB, [](const base::FileDescriptor&, const std::string& path) {
    return base::FileError(EIO, "sync", path);
  });
  ASSERT_TRUE(Take(arrival, 0, kMiB).ok());
  EXPECT_EQ(Finish(arrival).status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(arrival.over());
  EXPECT_EQ(base::FileSize(path_), 0);
}

TEST_F(ArrivalTest, AChunkOfWhichOnlyAPartCouldBeWrittenIsTakenBackAndWhatWaitsForItIsRefused) {
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before = {}, small = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  small = before;
  small.rlim_cur = static_cast<rlim_t>(3 * kMiB);
  Arrival arrival(path_, 8 * kMiB);
  std::future<absl::Status> waits = std::async(std::launch::async, [&] { return Take(arrival, 4 * kMiB, 2 * kMiB); });
  ASSERT_TRUE(Take(arrival, 0, 2 * kMiB).ok());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_FALSE(Take(arrival, 2 * kMiB, 2 * kMiB).ok());
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(waits.get().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(arrival.over());
  EXPECT_EQ(base::FileSize(path_), 0) << "nothing was synced yet";
}

TEST_F(ArrivalTest, AFileThatWasDeletedIsNotMadeAnew) {
  Arrival arrival(path_, kMiB);
  std::filesystem::remove(path_);
  EXPECT_EQ(Take(arrival, 0, kMiB).code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(arrival.over());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
}  // namespace strata::service
