// Datasets of every text task and every kind of vocabulary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/data/file.h"
#include "worker/data/prepare.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class PrepareTasksTest : public ::testing::Test {
 protected:
  PrepareTasksTest() {
    std::string name = (fs::temp_directory_path() / "strata-tasks-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    Write("a", "the dog sleeps in the house\nthe cat sleeps in the dog house\n");
    Write("b", "der Hund schläft im Haus\ndie Katze schläft im Hunde@@ haus\n");
    Write("c", "the cat sleeps\n");
    Write("d", "die Katze schläft\n");
    options_.name = "mini";
    options_.output = folder_ / "out";
    options_.vocabulary = {.kind = "words", .size = 0};
    options_.splits = {{"train", {folder_ / "a", folder_ / "b", {}}}, {"valid", {folder_ / "c", folder_ / "d", {}}}};
  }
  ~PrepareTasksTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
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
  void UseLanguageModel() {
    options_.task = "language_model";
    options_.splits = {{"train", {{}, folder_ / "a", {}}}, {"valid", {{}, folder_ / "c", {}}}};
  }
  std::string Decoded(const std::string& split, int stream, uint64_t sentence) const {
    const auto shards = model::OpenSplit(options_.output, model::ReadManifest(options_.output), split);
    return model::Detokenise(shards.at(0).pieces(), shards[0].Sentence(stream, sentence));
  }
  std::string File(const std::string& name) const { return model::ReadFile(options_.output / name); }
  ProcessResult Run(std::vector<std::string> more) const {
    std::vector<std::string> words = {
        STRATA_BINARY_DIR "/worker/strata-data", "prepare", "--output", options_.output, "--name", "mini"};
    words.insert(words.end(), more.begin(), more.end());
    return RunProcess(words);
  }

  fs::path folder_;
  PrepareOptions options_;
};

TEST_F(PrepareTasksTest, EveryKindOfVocabularyGivesTheTextBack) {
  for (const auto& [kind, size] : std::vector<std::pair<std::string, int>>{
           {"bpe", 35}, {"unigram", 35}, {"char", 0}, {"words", 0}, {"split", 0}}) {
    options_.vocabulary.kind = kind;
    options_.vocabulary.size = size;
    options_.force = true;
    const model::Manifest m = Prepare(options_);
    EXPECT_EQ(m.vocabulary_kind, kind);
    EXPECT_EQ(model::ReadManifest(options_.output).vocabulary_kind, kind);
    EXPECT_EQ(Decoded("train", 0, 1), "the cat sleeps in the dog house") << kind;
    EXPECT_EQ(Decoded("train", 1, 1),
              kind == "split" ? "die Katze schläft im Hundehaus" : "die Katze schläft im Hunde@@ haus");
    EXPECT_EQ(Decoded("valid", 1, 0), "die Katze schläft");
  }
}

TEST_F(PrepareTasksTest, SplitTextIsScoredJoinedOrAgainstAReference) {
  Write("d", "die Kat@@ ze schläft\n");
  Write("plain", "Die Katze schläft.\n");
  options_.vocabulary.kind = "split";
  options_.detokeniser = "moses-de";
  options_.splits["test"] = {folder_ / "c", folder_ / "d", folder_ / "plain"};
  EXPECT_EQ(Prepare(options_).detokeniser, "moses-de");
  EXPECT_EQ(model::ReadManifest(options_.output).detokeniser, "moses-de");
  EXPECT_EQ(File("text/valid.target"), "die Katze schläft\n");
  EXPECT_EQ(File("text/test.target"), "Die Katze schläft.\n");
  Write("plain", "Eins.\nZwei.\n");
  options_.force = true;
  EXPECT_THAT(ErrorOf(), HasSubstr("/plain has 2. Line n of one"));
}

TEST_F(PrepareTasksTest, TakesAGivenDictionaryAsItIs) {
  Write("dict.txt", "die 5\nder 4\nHund 1\nmadeupword0000 0\n");
  options_.dictionary = folder_ / "dict.txt";
  EXPECT_EQ(Prepare(options_).vocabulary_size, 8);
  EXPECT_EQ(File("vocabulary.txt"), "die 5\nder 4\nHund 1\nmadeupword0000 0\n");
  EXPECT_EQ(Decoded("train", 1, 0), "der Hund \u2047  \u2047  \u2047 ");
  Write("dict.txt", "die\n");
  options_.force = true;
  EXPECT_THAT(ErrorOf(), HasSubstr("dict.txt:1: 'die' is not a word and its count"));
}

TEST_F(PrepareTasksTest, SharesAnotherDatasetsVocabulary) {
  const std::string digest = Prepare(options_).files.back().sha256;
  PrepareOptions second = options_;
  second.output = folder_ / "second";
  second.vocabulary_from = options_.output;
  second.vocabulary.kind = "bpe";  // the dataset's counts
  second.splits["train"] = second.splits["valid"];
  const model::Manifest m = Prepare(second);
  EXPECT_EQ(m.vocabulary_kind, "words");
  EXPECT_EQ(m.files.back().path, "vocabulary.txt");
  EXPECT_EQ(m.files.back().sha256, digest);
  Write("out/vocabulary.txt", "a 1\n");
  second.force = true;
  try {
    Prepare(second);
    FAIL();
  } catch (const model::DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("vocabulary.txt is damaged"));
  }
}

TEST_F(PrepareTasksTest, LanguageModelIsOneStreamWithItsEmptyLines) {
  UseLanguageModel();
  Write("c", "\n = Cat =\n\n the  cat <unk>\tbarks\n\n");
  Prepare(options_);
  const model::Manifest m = model::ReadManifest(options_.output);
  EXPECT_EQ(m.task, "language_model");
  EXPECT_EQ(m.Split("valid").sentences, 5u);
  EXPECT_EQ(m.Split("valid").lines, 5u);
  EXPECT_EQ(m.Split("valid").words, 7u);
  EXPECT_EQ(m.Split("valid").target_tokens, 7u);
  EXPECT_EQ(m.Split("valid").source_tokens, 0u);
  EXPECT_EQ(m.Split("train").words, 13u);
  EXPECT_EQ(File("text/valid.target"), "\n = Cat =\n\n the  cat <unk>\tbarks\n\n");
  EXPECT_EQ(m.Split("valid").source_text, "");
  const auto statistics = nlohmann::json::parse(m.statistics_json);
  EXPECT_EQ(statistics["valid"]["unknown"], 5);
  EXPECT_GT(statistics["unigram_nll"].get<double>(), 0);
}

TEST_F(PrepareTasksTest, LanguageModelRefusesWhatItHasNot) {
  UseLanguageModel();
  options_.max_length = 10;
  EXPECT_THAT(ErrorOf(), HasSubstr("leave out --max-length"));
  options_.max_length = 0;
  Write("c", "\n\n");
  EXPECT_THAT(ErrorOf(), HasSubstr("Split valid has no words"));
  Write("c", "");
  EXPECT_THAT(ErrorOf(), HasSubstr("/c is empty"));
  options_.splits["valid"].source = folder_ / "a";
  EXPECT_THAT(ErrorOf(), HasSubstr("Split valid of task language_model takes one file"));
}

TEST_F(PrepareTasksTest, RefusesNamesThatNoSplitCanHave) {
  for (const auto& [name, why] : std::vector<std::pair<std::string, std::string>>{{"a b", "can be no split's name"},
                                                                                  {"../x", "can be no"},
                                                                                  {".x", "can be no"},
                                                                                  {"", "can be no"},
                                                                                  {std::string(65, 'x'), "can be no"},
                                                                                  {"input", "kept for what"}}) {
    PrepareOptions options = options_;
    options.splits[name] = options.splits["valid"];
    try {
      Prepare(options);
      ADD_FAILURE() << name;
    } catch (const model::DataError& e) {
      EXPECT_THAT(e.what(), HasSubstr(why)) << name;
    }
  }
  options_.splits.erase("valid");
  EXPECT_THAT(ErrorOf(), HasSubstr("There is no text for split valid"));
}

TEST_F(PrepareTasksTest, SaysHowLargeAVocabularyCanBe) {
  for (const auto& [kind, why] :
       std::vector<std::pair<std::string, std::string>>{{"unigram", "it gives at most "},
                                                        {"bpe", "Cannot make a vocabulary of 4,000 pieces (bpe)"},
                                                        {"char", "Cannot make a vocabulary of 4,000 pieces (char)"},
                                                        {"words", "only 15 different words"}}) {
    options_.vocabulary.kind = kind;
    options_.vocabulary.size = 4000;
    EXPECT_THAT(ErrorOf(), HasSubstr(why));
  }
}

TEST_F(PrepareTasksTest, FolderHoldsAnyNumberOfTestSets) {
  fs::create_directory(folder_ / "text");
  for (const std::string split : {"train", "valid", "test", "newstest2014"}) {
    for (const auto& [from, to] : {std::pair{"a", ".source"}, {"b", ".target"}})
      fs::copy(folder_ / from, folder_ / "text" / (split + to));
  }
  const auto result = Run({"--task", "headline", "--input", folder_ / "text", "--vocabulary-kind", "char", "--split",
                           "extra=" + (folder_ / "c").string() + "," + (folder_ / "d").string()});
  ASSERT_EQ(result.status, 0) << result.errors;
  const model::Manifest m = model::ReadManifest(options_.output);
  EXPECT_EQ(m.task, "headline");
  EXPECT_EQ(m.splits.size(), 5u);
  EXPECT_EQ(m.Split("newstest2014").sentences, 2u);
  EXPECT_EQ(m.Split("extra").sentences, 1u);
}

TEST_F(PrepareTasksTest, ProgramNamesWrongUsage) {
  const std::string a = folder_ / "a", b = folder_ / "b", pair = a + "," + b;
  const std::vector<std::string> both = {"--split", "train=" + pair, "--split", "valid=" + pair};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), both.begin(), both.end());
    return Run(more);
  };
  for (const auto& [more, why] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--split", "x"}, "write NAME=SOURCE,TARGET"},
           {{"--split", "x=" + a}, "write NAME=SOURCE,TARGET"},
           {{"--split", "train=" + pair}, "Split train is named twice"},
           {{"--valid-source", a, "--valid-target", b}, "Split valid is named twice"},
           {{"--reference", "x=" + a}, "there is no split x"},
           {{"--dictionary", a}, "--dictionary goes with"},
           {{"--dictionary", a, "--vocabulary-kind", "words", "--vocabulary", "10"}, "has its own size"},
           {{"--vocabulary-file", a, "--vocabulary-kind", "words"}, "name --dictionary"},
           {{"--vocabulary-from", a, "--vocabulary-file", a}, "Name one of"},
           {{"--vocabulary-from", a, "--vocabulary-kind", "bpe"}, "Leave out --vocabulary-kind"},
           {{"--vocabulary", "0"}, "write 5 or more"},
           {{"--vocabulary", "3", "--vocabulary-kind", "words"}, "or 0 for all"},
           {{"--task", "speech"}, "speech"}}) {
    const ProcessResult result = with(more);
    EXPECT_EQ(result.status, 2) << why;
    EXPECT_THAT(result.errors, HasSubstr(why));
  }
  const auto result = Run({"--task", "language_model", "--source", a, "--target", b});
  EXPECT_THAT(result.errors, HasSubstr("Name it with --split train=FILE"));
}

}  // namespace
}  // namespace strata::data
