#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <fstream>
#include <iterator>
#include <string>

#include "cmake/build_info.h"

extern "C" const char test_license[];
extern "C" const unsigned long test_license_size;
extern "C" const char test_made[];
extern "C" const unsigned long test_made_size;

namespace strata {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(BuildInfoTest, VersionIsTheProjects) { EXPECT_STREQ(Version(), PROJECT_VERSION); }

TEST(BuildInfoTest, CommitIsTwelveHexDigitsOrUnknown) {
  std::string commit = Commit();
  if (commit == "unknown") return;
  if (commit.ends_with("-dirty")) commit.resize(commit.size() - 6);
  EXPECT_EQ(commit.size(), 12u) << commit;
  for (char c : commit) EXPECT_TRUE(std::isxdigit(static_cast<unsigned char>(c))) << commit;
}

TEST(EmbedTest, BytesAndSizeAreTheFiles) {
  EXPECT_EQ(std::string(test_license, test_license_size), Contents(STRATA_SOURCE_DIR "/LICENSE"));
  EXPECT_EQ(std::string(test_made, test_made_size), Contents(MADE_FILE));
}

TEST(EmbedTest, ATerminatingNulStandsBehindTheBytes) {
  EXPECT_EQ(test_license[test_license_size], '\0');
  EXPECT_EQ(test_made[test_made_size], '\0');
}

}  // namespace
}  // namespace strata
