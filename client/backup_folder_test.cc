#include "client/backup_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "server/base/file.h"
#include "server/base/ids.h"
#include "server/base/sha256.h"

namespace strata::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BackupFolderTest : public testing::Test {
 protected:
  BackupFolderTest() : root_(testing::TempDir() + "/backup_" + base::RandomHex(6)), folder_(root_ + "/backup") {
    Add("strata.db", "database");
    Add("artifacts/e-1/t1/a", "weights");
    Add("artifacts/e-1/t2/a", "weights");  // one object
    EXPECT_TRUE(WriteManifest(folder_, manifest_).ok());
  }
  ~BackupFolderTest() override { std::filesystem::remove_all(root_); }

  void Add(const std::string& path, const std::string& content) {
    const std::string hash = base::Sha256Hex(content);
    std::filesystem::create_directories(std::filesystem::path(ObjectPath(folder_, hash)).parent_path());
    ASSERT_TRUE(base::WriteFileAtomically(ObjectPath(folder_, hash), content).ok());
    manifest_.files.push_back({path, static_cast<int64_t>(content.size()), hash});
  }
  std::vector<std::string> Findings() {
    std::vector<std::string> findings;
    CheckObjects(folder_, *ReadManifest(folder_), [&](const std::string& finding) { findings.push_back(finding); });
    return findings;
  }

  const std::string root_, folder_;
  BackupManifest manifest_{.time = "now", .version = "1", .files = {}, .missing = {"x"}};
};

TEST_F(BackupFolderTest, IsReadAsItWasWrittenAndRestoredWhole) {
  const auto read = ReadManifest(folder_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->files.size(), 3u);
  EXPECT_THAT(read->missing, ElementsAre("x"));
  EXPECT_THAT(Findings(), IsEmpty());
  const std::string target = root_ + "/new";
  ASSERT_TRUE(RestoreTo(target, folder_, *read).ok());
  EXPECT_EQ(*base::ReadFile(target + "/strata.db"), "database");
  EXPECT_EQ(*base::ReadFile(target + "/artifacts/e-1/t2/a"), "weights");
  const absl::Status again = RestoreTo(target, folder_, *read);
  EXPECT_EQ(again.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(again.message(), HasSubstr("is a coordinator's folder"));
  std::filesystem::remove(target + "/strata.db");
  EXPECT_THAT(std::string(RestoreTo(target, folder_, *read).message()), HasSubstr("not empty"));
}

TEST_F(BackupFolderTest, DamageAndLossAreNamed) {
  ASSERT_TRUE(base::WriteFileAtomically(ObjectPath(folder_, manifest_.files[1].sha256), "weightz").ok());
  std::filesystem::remove(ObjectPath(folder_, manifest_.files[0].sha256));
  EXPECT_THAT(Findings(), ElementsAre(HasSubstr("strata.db is missing"), HasSubstr("artifacts/e-1/t1/a is damaged"),
                                      HasSubstr("artifacts/e-1/t2/a is damaged")));
}

TEST_F(BackupFolderTest, ObjectsThatNothingNamesGo) {
  Add("old", "old content");
  const std::string old = ObjectPath(folder_, manifest_.files.back().sha256);
  manifest_.files.pop_back();
  PruneObjects(folder_, manifest_);
  EXPECT_FALSE(std::filesystem::exists(old));
  EXPECT_THAT(Findings(), IsEmpty());
}

// What is there before a backup into a folder, and what is said of it; "": it is taken.
TEST_F(BackupFolderTest, AFolderOfSomethingElseIsRefused) {
  const std::string name = "ab" + std::string(62, '0');
  const struct {
    std::vector<std::string> files;
    const char* why;
  } cases[] = {
      {{}, ""},
      {{"objects/ab/" + name + ".partial", "objects/log.partial"}, ""},
      {{"objects/ab/" + name, "manifest.json.0a1b2c3d.tmp"}, ""},
      {{"thesis.tex"}, "there is thesis.tex in it"},
      {{"objects/pack/pack-1.idx"}, "there is objects/pack in it"},
      {{"objects/ab/" + name.substr(0, 40)}, "there is objects/ab/ab000"},
      {{"objects/cd/" + name}, "there is objects/cd/ab000"},
      {{"manifest.json"}, "is no manifest of a backup"},
  };
  for (const auto& [files, why] : cases) {
    const std::string folder = root_ + "/into";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    for (const std::string& file : files) {
      std::filesystem::create_directories(std::filesystem::path(folder + "/" + file).parent_path());
      ASSERT_TRUE(base::WriteFileAtomically(folder + "/" + file, "text").ok());
    }
    const absl::Status status = CheckIsBackup(folder);
    EXPECT_EQ(status.ok(), *why == '\0') << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(why));
  }
  EXPECT_TRUE(CheckIsBackup(folder_).ok());
  EXPECT_TRUE(CheckIsBackup(root_ + "/none").ok());
  EXPECT_THAT(std::string(CheckIsBackup(folder_ + "/manifest.json").message()), HasSubstr("it is a file"));
}

TEST_F(BackupFolderTest, NoManifestOfOursIsRefused) {
  const std::string hash(64, 'a');
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"{", "format 1"},
           {R"({"format": 2})", "format 1"},
           {R"({"format": 1})", "names no files"},
           {R"({"format": 1, "files": [{"path": "a"}]})", "lacks"},
           {R"({"format": 1, "files": [{"path": "../a", "bytes": 1, "sha256": ")" + hash + R"("}]})", "elsewhere"},
           {R"({"format": 1, "files": [{"path": "/a", "bytes": 1, "sha256": ")" + hash + R"("}]})", "elsewhere"},
           {R"({"format": 1, "files": [{"path": "a", "bytes": 1, "sha256": "../../x"}]})", "no SHA-256"}}) {
    ASSERT_TRUE(base::WriteFileAtomically(folder_ + "/manifest.json", text).ok());
    EXPECT_THAT(std::string(ReadManifest(folder_).status().message()), HasSubstr(why)) << text;
  }
  EXPECT_EQ(ReadManifest(root_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace strata::client
