#include "server/base/file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "server/base/ids.h"
#include "server/base/sha256.h"

namespace strata::base {
namespace {

using testing::HasSubstr;

TEST(Sha256Test, EqualsThePublishedDigests) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(IdsTest, AreOfTheLengthAskedForAndDiffer) {
  EXPECT_EQ(RandomHex(16).size(), 32u);
  EXPECT_NE(RandomHex(16), RandomHex(16));
}

TEST(FileTest, WritesWholeFilesAndReadsThemBack) {
  const std::string folder = testing::TempDir() + "/file_test_" + RandomHex(4);
  ASSERT_TRUE(MakeFolders(folder).ok());
  const std::string path = folder + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, "three").ok());
  EXPECT_EQ(*ReadFile(path), "three");
  EXPECT_EQ(*Sha256OfFile(path), Sha256Hex("three"));
  EXPECT_EQ(FileSize(path), 5);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  std::filesystem::remove_all(folder);
}

TEST(FileTest, ErrorsNameThePathAndSayWhatKindTheyAre) {
  const absl::Status missing = ReadFile("/no/such/file").status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.message()), HasSubstr("/no/such/file"));
  EXPECT_EQ(FileError(ENOSPC, "write", "/x").code(), absl::StatusCode::kResourceExhausted);
  auto full = OpenFile("/dev/full", O_WRONLY);
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(WriteAt(*full, "x", 0, "/dev/full").code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace strata::base
