// strata-data encode: text of a user's own with a dataset's vocabulary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model/data/file.h"
#include "model/data/manifest.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class EncodeTest : public ::testing::Test {
 protected:
  EncodeTest() {
    std::string name = (fs::temp_directory_path() / "strata-encode-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    Write("a.txt", "the dog sleeps\nthe cat sleeps\nthe dog runs\n");
    Write("b.txt", "der Hund\ndie Katze\nder Hund\n");
    Write("mine.txt", "the dog\n\nthe zebra\n");
  }
  ~EncodeTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
  }
  static ProcessResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), STRATA_BINARY_DIR "/worker/strata-data");
    return RunProcess(words);
  }
  void Prepare(const std::string& task, std::vector<std::string> more) const {
    const std::string f = folder_.string();
    const std::string text = task == "language_model" ? f + "/a.txt" : f + "/a.txt," + f + "/b.txt";
    std::vector<std::string> words = {"prepare", "--task",        task,       "--split",           "train=" + text,
                                      "--split", "valid=" + text, "--output", folder_ / "dataset", "--name",
                                      "d",       "--force"};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = Run(words);
    ASSERT_EQ(result.status, 0) << result.errors;
  }
  ProcessResult Encode(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {
        "encode", "--dataset", folder_ / "dataset", "--input", folder_ / "mine.txt", "--output", folder_ / "encoded",
        "--force"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }

  fs::path folder_;
};

TEST_F(EncodeTest, GivesEachLineASourceAndAnEmptyTarget) {
  Prepare("translation", {"--vocabulary", "40", "--detokeniser", "moses"});
  // Manifest and vocabulary are enough.
  for (const auto& entry : fs::directory_iterator(folder_ / "dataset")) {
    const std::string name = entry.path().filename();
    if (name != "manifest.json" && name != "vocabulary.model") fs::remove_all(entry.path());
  }
  const ProcessResult result = Encode();
  ASSERT_EQ(result.status, 0) << result.errors;
  const model::Manifest m = model::ReadManifest(folder_ / "encoded");
  model::VerifyFiles(folder_ / "encoded", m);
  EXPECT_EQ(m.splits.size(), 1u);
  EXPECT_EQ(m.detokeniser, "moses");
  EXPECT_EQ(m.Split("input").target_tokens, 0u);
  const auto shards = model::OpenSplit(folder_ / "encoded", m, "input");
  ASSERT_EQ(shards.at(0).sentences(), 3u);  // an empty line keeps its place
  EXPECT_EQ(model::Detokenise(shards[0].pieces(), shards[0].Sentence(0, 0)), "the dog");
  EXPECT_TRUE(shards[0].Sentence(0, 1).empty());
  EXPECT_EQ(model::ReadFile(folder_ / "encoded/vocabulary.model"),
            model::ReadFile(folder_ / "dataset/vocabulary.model"));
  EXPECT_THAT(Run({"inspect", folder_ / "encoded"}).output, HasSubstr("input:\n       1 source: the dog"));
}

TEST_F(EncodeTest, MakesOneStreamForALanguageModel) {
  Prepare("language_model", {"--vocabulary-kind", "words"});
  ASSERT_EQ(Encode().status, 0);
  const model::Manifest m = model::ReadManifest(folder_ / "encoded");
  EXPECT_EQ(m.vocabulary_kind, "words");
  EXPECT_EQ(m.Split("input").words, 4u);
  EXPECT_EQ(m.Split("input").lines, 3u);
  EXPECT_EQ(model::ReadFile(folder_ / "encoded/text/input.target"), "the dog\n\nthe zebra\n");
  const auto shards = model::OpenSplit(folder_ / "encoded", m, "input");
  EXPECT_EQ(model::Detokenise(shards.at(0).pieces(), shards[0].Sentence(0, 2)), "the \u2047 ");
}

TEST_F(EncodeTest, RefusesWhatItCannotEncode) {
  EXPECT_THAT(Encode().errors, HasSubstr("No dataset at "));
  Prepare("headline", {"--vocabulary", "40"});
  EXPECT_THAT(Encode({"--task", "translation"}).errors, HasSubstr("is a dataset of task headline, not of translation"));
  for (const auto& [text, why] :
       std::vector<std::pair<std::string, std::string>>{{"", "mine.txt is empty"},
                                                        {"\n\n", "holds only empty lines"},
                                                        {"a\nb \xe4\n", "mine.txt:2: not valid UTF-8 at byte 3"}}) {
    Write("mine.txt", text);
    const ProcessResult result = Encode();
    EXPECT_EQ(result.status, 1);
    EXPECT_THAT(result.errors, HasSubstr(why));
  }
  EXPECT_FALSE(fs::exists(folder_ / "encoded"));
  Write("mine.txt", "the dog\n");
  std::ofstream(folder_ / "dataset/vocabulary.model", std::ios::app) << "x";
  EXPECT_THAT(Encode().errors, HasSubstr("vocabulary.model is damaged"));
}

}  // namespace
}  // namespace strata::data
