#include "worker/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class PrepareTest : public ::testing::Test {
 protected:
  PrepareTest() {
    std::string name = (fs::temp_directory_path() / "strata-prepare-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    std::string source, target;
    for (int i = 0; i < 200; ++i) {
      source += "the number " + std::to_string(i * 37 % 1000) + " is a number\n";
      target += "die Zahl " + std::to_string(i * 37 % 1000) + " ist eine Zahl\n";
    }
    Write("train.en", source);
    Write("train.de", target);
    Write("valid.en", "the number 4711\na number\n");
    Write("valid.de", "die Zahl 4711\neine Zahl\n");
    options_.name = "numbers";
    options_.source_language = "en";
    options_.target_language = "de";
    options_.splits["train"] = {folder_ / "train.en", folder_ / "train.de", {}};
    options_.splits["valid"] = {folder_ / "valid.en", folder_ / "valid.de", {}};
    options_.output = folder_ / "out";
    options_.vocabulary.size = 60;
  }
  ~PrepareTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  std::string ErrorOf() const {
    try {
      Prepare(options_);
    } catch (const model::DataError& e) {
      return e.what();
    }
    return "no error";
  }
  // Names of what stands in the folder beside the texts: nothing half-made may.
  std::vector<std::string> Leftovers() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.is_directory()) names.push_back(entry.path().filename());
    }
    return names;
  }

  fs::path folder_;
  PrepareOptions options_;
};

TEST_F(PrepareTest, MakesADatasetThatReadsBack) {
  Prepare(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  model::VerifyFiles(options_.output, m);
  EXPECT_EQ(m.vocabulary_size, 60);
  const auto train = model::OpenSplit(options_.output, m, "train");
  const auto valid = model::OpenSplit(options_.output, m, "valid");
  EXPECT_EQ(train.at(0).sentences(), 200u);
  EXPECT_EQ(model::Detokenise(valid.at(0).pieces(), valid.at(0).Sentence(1, 0)), "die Zahl 4711");
  EXPECT_EQ(model::ReadFile(options_.output / m.Split("valid").source_text), "the number 4711\na number\n");
  EXPECT_EQ(m.Split("train").source_text, "");
  const auto statistics = nlohmann::json::parse(m.statistics_json);
  EXPECT_EQ(statistics["train"]["source"]["words"], 1200);
  EXPECT_GT(statistics["unigram_nll"].get<double>(), 1.0);
  EXPECT_LT(statistics["unigram_nll"].get<double>(), std::log(60.0));
  EXPECT_EQ(Leftovers(), std::vector<std::string>{"out"});
}

TEST_F(PrepareTest, IsTheSameBytesEachTime) {
  const std::string first = Prepare(options_).digest;
  options_.output = folder_ / "again";
  EXPECT_EQ(Prepare(options_).digest, first);
  EXPECT_EQ(model::ReadFile(folder_ / "out" / "manifest.json"), model::ReadFile(folder_ / "again" / "manifest.json"));
}

TEST_F(PrepareTest, DropsLongAndEmptyPairsAndCountsThem) {
  Write("valid.en", "the number 4711\n\nthe number the number the number the number the number the number\n");
  Write("valid.de", "die Zahl 4711\nleer\neine Zahl\n");
  options_.max_length = 10;
  Prepare(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  EXPECT_EQ(m.Split("valid").sentences, 1u);
  EXPECT_EQ(model::ReadFile(options_.output / "text/valid.target"), "die Zahl 4711\n");
  const auto dropped = nlohmann::json::parse(m.statistics_json)["valid"]["dropped"];
  EXPECT_EQ(dropped["too long"], 1);
  EXPECT_EQ(dropped["empty side"], 1);
  options_.max_length_held_out = 0;
  options_.force = true;
  EXPECT_EQ(Prepare(options_).Split("valid").sentences, 2u);
}

TEST_F(PrepareTest, RefusesTextsOfUnequalLength) {
  Write("valid.de", "nur eine\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("valid.en has 2 lines, "));
  EXPECT_TRUE(Leftovers().empty());
}
TEST_F(PrepareTest, NamesFileAndLineOfInvalidUtf8) {
  Write("valid.de", "gut\nschlecht \xe4\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("valid.de:2: not valid UTF-8 at byte 10 of the line"));
  EXPECT_TRUE(Leftovers().empty());
}
TEST_F(PrepareTest, NamesFileAndLineOfANul) {
  Write("train.en", std::string("a\0b\n", 4));
  EXPECT_THAT(ErrorOf(), HasSubstr("train.en:1: holds a NUL"));
}
TEST_F(PrepareTest, RefusesEmptyText) {
  Write("train.en", "");
  Write("train.de", "");
  EXPECT_THAT(ErrorOf(), HasSubstr("train.en is empty"));
}
TEST_F(PrepareTest, RefusesTextOfWhichNothingIsLeft) {
  Write("valid.en", "\n\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("No pair of valid is left of 2 (2 with an empty side)"));
}
TEST_F(PrepareTest, NamesTheFileThatIsMissing) {
  fs::remove(folder_ / "train.de");
  EXPECT_THAT(ErrorOf(), HasSubstr("train.de: No such file"));
}
TEST_F(PrepareTest, SaysThatTheVocabularyIsTooLarge) {
  options_.vocabulary.size = 50000;
  EXPECT_THAT(ErrorOf(), HasSubstr("Cannot make a vocabulary of 50,000 pieces"));
  EXPECT_TRUE(Leftovers().empty());
}
TEST_F(PrepareTest, ReplacesOnlyWhenTold) {
  Prepare(options_);
  EXPECT_THAT(ErrorOf(), HasSubstr("out exists already"));
  options_.force = true;
  options_.name = "second";
  Prepare(options_);
  EXPECT_EQ(model::ReadManifest(options_.output).name, "second");
  EXPECT_EQ(Leftovers(), std::vector<std::string>{"out"});
}
TEST_F(PrepareTest, TakesWindowsLinesAndAByteOrderMark) {
  Write("valid.en", "\xef\xbb\xbfthe number 4711\r\na number\r\n");
  Prepare(options_);
  EXPECT_EQ(model::ReadFile(options_.output / "text/valid.source"), "the number 4711\na number\n");
}

// A disk that is full, by the limit on a file's size: write() fails just so. In a process of its own.
TEST_F(PrepareTest, LeavesNothingHalfWrittenWhenTheDiskIsFull) {
  const auto result = RunProcess({"bash", "-c", "trap '' XFSZ; ulimit -f 4; exec \"$@\"", "bash",
                                  STRATA_BINARY_DIR "/worker/strata-data", "prepare", "--source", folder_ / "train.en",
                                  "--target", folder_ / "train.de", "--split",
                                  "valid=" + folder_.string() + "/valid.en," + folder_.string() + "/valid.de",
                                  "--output", options_.output, "--name", "n", "--vocabulary", "60"});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("Cannot write"));
  EXPECT_TRUE(Leftovers().empty());
}

TEST_F(PrepareTest, ProgramExitsWithTwoOnWrongUsage) {
  const std::string program = STRATA_BINARY_DIR "/worker/strata-data";
  const auto status = [&](std::vector<std::string> words) {
    words.insert(words.begin(), program);
    return RunProcess(words).status;
  };
  EXPECT_EQ(status({}), 2);
  EXPECT_EQ(status({"--help"}), 0);
  EXPECT_EQ(status({"prepare", "--help"}), 0);
  EXPECT_EQ(status({"prepare", "--output", "x"}), 2);
  EXPECT_EQ(status({"prepare", "--output", "x", "--name", "n"}), 2);
  EXPECT_EQ(status({"prepare", "--output", "x", "--name", "n", "--source", "s"}), 2);
  EXPECT_EQ(status({"prepare", "--output", "x", "--name", "n", "--vocabulary", "1"}), 2);
  EXPECT_EQ(status({"fetch", "debian-xx", "--output", "x"}), 2);
  EXPECT_EQ(status({"fetch", "debian-en-de", "--output", "x", "--part", "none"}), 2);
  EXPECT_EQ(status({"inspect", (folder_ / "nothing").string()}), 1);
}

TEST_F(PrepareTest, InspectShowsSentencesAndFindsDamage) {
  Prepare(options_);
  const std::string program = STRATA_BINARY_DIR "/worker/strata-data";
  auto result = RunProcess({program, "inspect", options_.output, "--split", "valid", "--line", "2", "--verify"});
  EXPECT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("2 target: eine Zahl"));
  EXPECT_EQ(RunProcess({program, "inspect", options_.output, "--line", "999"}).status, 2);
  EXPECT_EQ(RunProcess({program, "inspect", options_.output / "train-00000.shard"}).status, 0);
  fs::resize_file(options_.output / "train-00000.shard", 1024);
  result = RunProcess({program, "inspect", options_.output});
  EXPECT_EQ(result.status, 1);
  EXPECT_THAT(result.errors, HasSubstr("train-00000.shard is truncated: 1,024 of "));
}

}  // namespace
}  // namespace strata::data
