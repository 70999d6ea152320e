// Policies of retention as text, and datasets that are put right.
#include "server/service/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/base/file.h"
#include "server/service/testing.h"

namespace strata::service {
namespace {

using testing::HasSubstr;

namespace fs = std::filesystem;

TEST(RetentionTest, ReadsAPolicyAndNamesWhatIsNone) {
  EXPECT_EQ(RetentionText(*ParseRetention("")), "resumable=never,epochs=never,logs=never,vectors=never,datasets=never");
  EXPECT_EQ(RetentionText(*ParseRetention("logs=90d, resumable=12h,vectors=0s")),
            "resumable=12h,epochs=never,logs=90d,vectors=0d,datasets=never");
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{{"logs", "KIND=AGE"},
                                                                                  {"weights=3d", "kinds are"},
                                                                                  {"logs=3", "no age"},
                                                                                  {"logs=-3d", "no age"},
                                                                                  {"logs=d", "no age"}}) {
    EXPECT_THAT(std::string(ParseRetention(text).status().message()), HasSubstr(why)) << text;
  }
}

TEST(UpkeepServiceTest, ADamagedDatasetIsPutRightByAddingItAgain) {
  TestCluster cluster;
  cluster.AddDataset("tiny", "the right content");
  const std::string file = cluster.folder() + "/datasets/tiny/train-00000.shard";
  ASSERT_TRUE(base::WriteFileAtomically(file, "the wrong content").ok());
  cluster.AddDataset("tiny", "the right content");
  EXPECT_EQ(*base::ReadFile(file), "the right content");
  fs::remove(file);
  cluster.Restart();
  cluster.AddDataset("tiny", "the right content");
  EXPECT_EQ(*base::ReadFile(file), "the right content");
  EXPECT_FALSE(fs::exists(cluster.folder() + "/datasets/.incoming/tiny"));
}

}  // namespace
}  // namespace strata::service
