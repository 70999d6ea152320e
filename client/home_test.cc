#include "client/home.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

namespace strata::client {
namespace {

TEST(HomeTest, AddressComesFromFlagThenEnvironmentThenFileThenDefault) {
  const std::string home = testing::TempDir() + "/strata_home_test";
  std::filesystem::remove_all(home);
  setenv("STRATA_HOME", home.c_str(), 1);
  unsetenv("STRATA_ADDRESS");
  EXPECT_EQ(ResolveAddress(""), "localhost:7070");
  std::filesystem::create_directories(home + "/coordinator");
  std::ofstream(home + "/coordinator/address") << "127.0.0.1:4321\n";
  EXPECT_EQ(ResolveAddress(""), "127.0.0.1:4321");
  setenv("STRATA_ADDRESS", "there:1", 1);
  EXPECT_EQ(ResolveAddress(""), "there:1");
  EXPECT_EQ(ResolveAddress("flag:2"), "flag:2");
  unsetenv("STRATA_ADDRESS");
  unsetenv("STRATA_HOME");
}

TEST(HomeTest, FollowsTheXdgDataDirectory) {
  unsetenv("STRATA_HOME");
  setenv("XDG_DATA_HOME", "/data", 1);
  EXPECT_EQ(StrataHome(), "/data/strata");
  unsetenv("XDG_DATA_HOME");
  setenv("HOME", "/home/ada", 1);
  EXPECT_EQ(StrataHome(), "/home/ada/.local/share/strata");
}

}  // namespace
}  // namespace strata::client
