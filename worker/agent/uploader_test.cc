// Files of several chunks on their way to a coordinator that loses, damages and overtakes them.
#include "worker/agent/uploader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/file.h"
#include "server/base/sha256.h"
#include "worker/agent/fake_coordinator.h"
#include "worker/agent/file.h"

namespace strata::agent {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kChunk = 4 << 20;
constexpr int64_t kBytes = 9 * kChunk + 1000;

class UploaderTest : public ::testing::Test {
 protected:
  UploaderTest() : path_(absl::StrCat(::testing::TempDir(), "/uploader-", ::getpid())), content_(kBytes, '\0') {
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 2654435761u >> 24);
    hash_ = base::Sha256Hex(content_);
    EXPECT_TRUE(base::WriteFileAtomically(path_, content_).ok());
    coordinator_.on_chunk = [this](int64_t offset) {
      int turn = 0;
      {
        base::MutexLock lock(mutex_);
        turn = ++tries_[offset / kChunk];
        came_.NotifyAll();
      }
      return answer_ ? answer_(static_cast<int>(offset / kChunk), turn) : absl::OkStatus();
    };
  }
  ~UploaderTest() override { ::unlink(path_.c_str()); }

  // Uploads the file as final weights. Returns the uploader's failure.
  absl::Status Upload() {
    Uploader uploader(coordinator_, {"experiments/e-1/trials/t1/jobs/train", 1}, stats_);
    uploader.Offer({{"checkpoint_final", hash_, kBytes, 1, "final.safetensors"}, path_});
    uploader.Finish(false);
    for (int i = 0; i < 10000 && !uploader.Done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(uploader.Done());
    return uploader.failure();
  }
  void ExpectWhole() {
    coordinator_.With([&] {
      const auto& upload = coordinator_.uploads["checkpoint_final " + hash_];
      EXPECT_TRUE(upload.complete);
      EXPECT_EQ(base::Sha256Hex(upload.data), hash_);
    });
  }

  const std::string path_;
  std::string content_;
  std::string hash_;
  FakeCoordinator coordinator_;
  Stats stats_;
  std::function<absl::Status(int chunk, int turn)> answer_;  // an error is what becomes of a chunk on its n-th way
  base::Mutex mutex_;
  base::CondVar came_;
  std::map<int64_t, int> tries_ ABSL_GUARDED_BY(mutex_);  // by chunk
};

TEST_F(UploaderTest, ThreeChunksAreOnTheirWayAtOnceAndNoMore) {
  answer_ = [this](int chunk, int) {
    base::MutexLock lock(mutex_);
    if (chunk != 1) return absl::OkStatus();
    for (int i = 0; i < 5000 && !tries_.contains(3); ++i) came_.WaitFor(mutex_, std::chrono::milliseconds(1));
    EXPECT_TRUE(tries_.contains(3));
    EXPECT_FALSE(tries_.contains(4));
    return absl::OkStatus();
  };
  EXPECT_TRUE(Upload().ok());
  ExpectWhole();
  EXPECT_EQ(stats_.upload_bytes, kBytes);
}

TEST_F(UploaderTest, OneThatIsDamagedIsSentAgainAndThoseBehindItAreNot) {
  answer_ = [](int chunk, int turn) { return chunk == 1 && turn == 1 ? absl::DataLossError("") : absl::OkStatus(); };
  EXPECT_TRUE(Upload().ok());
  ExpectWhole();
  base::MutexLock lock(mutex_);
  for (const auto& [chunk, tries] : tries_) EXPECT_EQ(tries, chunk == 1 ? 2 : 1) << chunk;
  EXPECT_EQ(stats_.upload_failures, 0);
}

TEST_F(UploaderTest, OneThatCameTooEarlyIsSentAgainOnce) {
  answer_ = [](int chunk, int turn) {
    return chunk == 2 && turn == 1 ? absl::FailedPreconditionError("the upload stands at 4") : absl::OkStatus();
  };
  EXPECT_TRUE(Upload().ok());
  ExpectWhole();
  EXPECT_EQ(stats_.upload_failures, 0);
}

TEST_F(UploaderTest, OnASlowWayOneIsSentAtATime) {
  answer_ = [this](int chunk, int) {
    if (chunk > 1) return absl::OkStatus();
    std::this_thread::sleep_for(std::chrono::milliseconds(220));
    base::MutexLock lock(mutex_);
    EXPECT_EQ(tries_.rbegin()->first, chunk) << "another was on its way too";
    return absl::OkStatus();
  };
  EXPECT_TRUE(Upload().ok());
  ExpectWhole();
}

TEST_F(UploaderTest, GoesOnWhereItStandsAfterACut) {
  answer_ = [](int chunk, int turn) {
    return chunk == 4 && turn == 1 ? absl::UnavailableError("cut off") : absl::OkStatus();
  };
  EXPECT_TRUE(Upload().ok());
  ExpectWhole();
  EXPECT_EQ(stats_.upload_failures, 1);
  base::MutexLock lock(mutex_);
  EXPECT_EQ(tries_[3], 1) << "what had arrived was sent again";
}

TEST_F(UploaderTest, GivesUpWhereAChunkIsDamagedAgainAndAgain) {
  answer_ = [](int chunk, int) { return chunk == 2 ? absl::DataLossError("damaged") : absl::OkStatus(); };
  const absl::Status failure = Upload();
  EXPECT_EQ(failure.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(failure.message()), HasSubstr("final.safetensors could not be uploaded: damaged"));
}

}  // namespace
}  // namespace strata::agent
