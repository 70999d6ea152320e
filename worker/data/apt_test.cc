// strata-data fetch against a package archive of our own on this disk: no network, and apt's own state stays as it is.
#include "worker/data/apt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class AptTest : public ::testing::Test {
 protected:
  AptTest() {
    std::string name = (fs::temp_directory_path() / "strata-apt-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    fs::permissions(folder_, static_cast<fs::perms>(0755));
    archive_ = folder_ / "archive" / "dists" / "bookworm";
    WriteIndices();
    WriteRelease("bookworm");
    std::ofstream(folder_ / "sources.list")
        << "deb [trusted=yes] file:" << (folder_ / "archive").string() << " bookworm main\n";
    std::ofstream(folder_ / "apt.conf") << "Dir::Etc::sourcelist \"" << (folder_ / "sources.list").string()
                                        << "\";\nDir::Etc::sourceparts \"/dev/null\";\nAcquire::Languages \"none\";\n";
    ::setenv("APT_CONFIG", (folder_ / "apt.conf").c_str(), 1);
  }
  ~AptTest() override {
    ::unsetenv("APT_CONFIG");
    fs::remove_all(folder_);
  }

  void WriteIndices() {
    std::string packages, english, german;
    for (int i = 0; i < 600; ++i) {
      const std::string n = std::to_string(i),
                        head = "Package: tool" + n + "x\nDescription-md5: " + model::Sha256(n).substr(0, 32) + "\n";
      packages +=
          head + "Version: 1\nArchitecture: all\nMaintainer: nobody\nFilename: pool/x.deb\nSize: 1\nSHA256: 0\n\n";
      english += head + "Description-en: tool of number " + n + "\n It does thing " + n + ".\n\n";
      german += head + "Description-de: Werkzeug der Nummer " + n + "\n Es tut Sache " + n + ".\n\n";
    }
    Write("main/binary-" + Architecture() + "/Packages", packages);
    Write("main/i18n/Translation-en", english);
    Write("main/i18n/Translation-de", german);
  }
  void Write(const std::string& name, const std::string& text) {
    fs::create_directories((archive_ / name).parent_path());
    std::ofstream(archive_ / name) << text;
  }
  void WriteRelease(const std::string& codename) {
    std::string text = "Origin: Debian\nLabel: Debian\nSuite: test\nVersion: 12.99\nCodename: " + codename +
                       "\nArchitectures: " + Architecture() +
                       "\nComponents: main\nDate: Sat, 01 Jun 2024 10:00:00 UTC\nSHA256:\n";
    for (const std::string& name : {"main/binary-" + Architecture() + "/Packages",
                                    std::string("main/i18n/Translation-en"), std::string("main/i18n/Translation-de")}) {
      text += " " + model::FileSha256(archive_ / name) + " " + std::to_string(fs::file_size(archive_ / name)) + " " +
              name + "\n";
    }
    std::ofstream(archive_ / "Release") << text;
  }
  static std::string Architecture() {
    const std::string output = RunProcess({"dpkg", "--print-architecture"}).output;
    return output.substr(0, output.find('\n'));
  }
  ProcessResult Fetch(std::vector<std::string> more = {}) const {
    std::vector<std::string> command = {STRATA_BINARY_DIR "/worker/strata-data", "fetch", "debian-en-de", "--output",
                                        (folder_ / "text").string()};
    command.insert(command.end(), more.begin(), more.end());
    return RunProcess(command);
  }
  bool NothingLeft() const {
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with(".text")) return false;
    }
    return !fs::exists(folder_ / "text");
  }

  fs::path folder_, archive_;
};

TEST_F(AptTest, FetchesTextAndItsProvenance) {
  const auto result = Fetch();
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(model::ReadFile(folder_ / "text/train.de"), HasSubstr("Werkzeug der Nummer "));
  const std::string provenance = model::ReadFile(folder_ / "text/provenance.json");
  EXPECT_THAT(provenance, HasSubstr("Debian 12.99 bookworm main/i18n/Translation-de"));
  EXPECT_THAT(provenance, HasSubstr(model::FileSha256(archive_ / "main/i18n/Translation-de")));
  EXPECT_EQ(fs::exists(folder_ / "text/apt"), false);
}

TEST_F(AptTest, RefusesAnIndexThatIsNotWhatReleaseStates) {
  Write("main/i18n/Translation-de", model::ReadFile(archive_ / "main/i18n/Translation-de") + "x\n");
  const auto result = Fetch();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("Translation-de"));
  EXPECT_TRUE(NothingLeft());
}

TEST_F(AptTest, NamesTheIndexThatIsCutOff) {
  fs::resize_file(archive_ / "main/i18n/Translation-en", 1000);
  const auto result = Fetch();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("Translation-en"));
  EXPECT_TRUE(NothingLeft());
}

TEST_F(AptTest, NoticesThatItsCacheWasDamaged) {
  const fs::path cache = folder_ / "cache";
  ASSERT_EQ(Fetch({"--cache", cache}).status, 0);
  Apt apt(cache, {"en", "de"});
  const AptIndex index = apt.Index("main/i18n/Translation-de");
  const fs::path real = fs::canonical(index.file);
  std::string text = model::ReadFile(real);
  text[text.size() / 2] ^= 1;
  fs::remove(index.file);
  std::ofstream(index.file) << text;
  try {
    apt.Index("main/i18n/Translation-de");
    FAIL();
  } catch (const model::DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("is damaged"));
  }
  EXPECT_FALSE(fs::exists(index.file));
  EXPECT_EQ(Fetch({"--cache", cache, "--force"}).status, 0);
}

TEST_F(AptTest, SaysWhatAptSaysWhenThereIsNoArchive) {
  fs::remove_all(folder_ / "archive");
  const auto result = Fetch();
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("apt could not fetch the package lists:\n  E"));
  EXPECT_THAT(result.errors, HasSubstr("See that 'apt-get update' works on this machine."));
  EXPECT_TRUE(NothingLeft());
}

TEST_F(AptTest, RefusesAnArchiveOfUpdatesOnly) {
  WriteRelease("bookworm-updates");
  EXPECT_EQ(Fetch().status, 1);
}

TEST_F(AptTest, NamesThePackageThatIsNotToBeHad) {
  Apt apt(folder_ / "private", {"en"});
  apt.Update();
  try {
    apt.Download({"no-such-package"});
    FAIL();
  } catch (const model::DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("no-such-package"));
  }
}

TEST_F(AptTest, LeavesTheMachinesAptAsItIs) {
  const auto state = [] {
    return RunProcess(
               {"bash", "-c", "ls -lR --time-style=full-iso /var/lib/apt /var/cache/apt 2>/dev/null | sha256sum"})
        .output;
  };
  const std::string before = state();
  ASSERT_EQ(Fetch().status, 0);
  EXPECT_EQ(state(), before);
}

}  // namespace
}  // namespace strata::data
