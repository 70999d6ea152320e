// The text and the dataset that the quickstart uses, fetched for real: how much there is, and that nothing leaks.
// Needs the machine's package archive; skipped without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <set>

#include "model/data/file.h"
#include "model/data/manifest.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"
#include "worker/data/tokenizer.h"

namespace strata::data {
namespace {

namespace fs = std::filesystem;

class RealTextTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = (fs::temp_directory_path() / "strata-real-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const auto fetched = Run({"fetch", "debian-en-de", "--output", folder_ / "text"});
    if (fetched.status != 0) why_not_ = fetched.errors;
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }
  void SetUp() override {
    if (!why_not_.empty()) GTEST_SKIP() << "no text: " << why_not_;
  }

  static ProcessResult Run(std::vector<std::string> words) {
    words.insert(words.begin(), STRATA_BINARY_DIR "/worker/strata-data");
    return RunProcess(words);
  }
  static std::vector<std::string> Text(const std::string& name) {
    const std::string text = model::ReadFile(folder_ / "text" / name);
    const auto lines = model::Lines(text);
    return {lines.begin(), lines.end()};
  }

  static inline fs::path folder_;
  static inline std::string why_not_;
};

TEST_F(RealTextTest, IsAsMuchAsExpectedAndLeaksNoSideOfAHeldOutPair) {
  EXPECT_NEAR(static_cast<double>(Text("train.en").size()), 42800, 2500);
  EXPECT_NEAR(static_cast<double>(Text("valid.en").size()), 1190, 300);
  EXPECT_NEAR(static_cast<double>(Text("test.en").size()), 1010, 300);
  for (const std::string split : {"train", "valid", "test"}) {
    EXPECT_EQ(Text(split + ".en").size(), Text(split + ".de").size()) << split;
  }
  for (const std::string language : {"en", "de"}) {
    const auto train = Text("train." + language), valid = Text("valid." + language), test = Text("test." + language);
    const std::set<std::string> in_train(train.begin(), train.end()), in_valid(valid.begin(), valid.end());
    for (const std::string& line : valid) EXPECT_FALSE(in_train.contains(line)) << line;
    for (const std::string& line : test) EXPECT_FALSE(in_train.contains(line) || in_valid.contains(line)) << line;
  }
}

TEST_F(RealTextTest, BecomesTheDatasetOfTheQuickstart) {
  const fs::path output = folder_ / "debian-en-de";
  const auto result = Run({"prepare", "--input", folder_ / "text", "--output", output, "--name", "debian-en-de",
                           "--vocabulary", "4000", "--max-length", "40"});
  ASSERT_EQ(result.status, 0) << result.errors;
  const model::Manifest manifest = model::ReadManifest(output);
  model::VerifyFiles(output, manifest);
  EXPECT_NEAR(static_cast<double>(manifest.Split("train").sentences), 34980, 2500);
  EXPECT_EQ(manifest.source_language, "en");
  // Every sentence comes out of the shards as SentencePiece says it.
  const Tokenizer tokenizer(model::ReadFile(output / manifest.vocabulary_file));
  for (const std::string split : {"train", "valid", "test"}) {
    for (const model::Shard& shard : model::OpenSplit(output, manifest, split)) {
      for (uint64_t i = 0; i < shard.sentences(); ++i) {
        const auto ids = shard.Sentence(1, i);
        ASSERT_LE(ids.size(), 40u);
        ASSERT_EQ(model::Detokenise(shard.pieces(), ids), tokenizer.Decode(ids));
      }
    }
  }
}

// Held-out text leaks nothing, and what is fetched is the same bytes each time (apt's downloads are kept for the
// second).
TEST_F(RealTextTest, HeadlinesAndRunningTextComeOutTheSameEachTime) {
  for (const auto& [source, part, endings] :
       std::vector<std::tuple<std::string, std::string, std::vector<std::string>>>{
           {"debian-headline", "", {"source", "target"}}, {"debian-text", "perl", {"text"}}}) {
    for (const std::string output : {"first", "second"}) {
      std::vector<std::string> words = {"fetch",   source,          "--output", folder_ / output,
                                        "--cache", folder_ / "apt", "--force"};
      if (!part.empty()) words.insert(words.end(), {"--part", part});
      const auto result = Run(words);
      ASSERT_EQ(result.status, 0) << result.errors;
    }
    for (const std::string& ending : endings) {
      const auto lines = [&](const std::string& split) { return Text("../first/" + split + "." + ending); };
      const auto train = lines("train"), valid = lines("valid"), test = lines("test");
      EXPECT_GT(train.size(), source == "debian-text" ? 10000u : 55000u);
      const std::set<std::string> in_train(train.begin(), train.end());
      for (const auto* held_out : {&valid, &test}) {
        EXPECT_GT(held_out->size(), source == "debian-text" ? 50u : 900u);
        for (const std::string& line : *held_out) {
          EXPECT_TRUE(line.empty() || line.starts_with("= ") || !in_train.contains(line)) << line;
        }
      }
      for (const std::string split : {"train", "valid", "test"}) {
        EXPECT_EQ(lines(split), Text("../second/" + split + "." + ending)) << source << " " << split;
      }
    }
  }
}

TEST_F(RealTextTest, NovelsAreSplitByChapter) {
  const auto result = Run({"fetch", "debian-text", "--part", "austen", "--output", folder_ / "austen"});
  ASSERT_EQ(result.status, 0) << result.errors;
  for (const auto& [split, chapters] : {std::pair<std::string, int>{"train", 257}, {"valid", 6}, {"test", 6}}) {
    const auto lines = Text("../austen/" + split + ".text");
    EXPECT_EQ(std::count(lines.begin(), lines.end(), ""), chapters) << split;
  }
}

// Needs pip's index, and no package lists.
TEST_F(RealTextTest, WikipediasArticlesAreAsManyAsExpectedAndWithoutMarkup) {
  const auto result = Run({"fetch", "debian-text", "--part", "wikipedia", "--output", folder_ / "wikipedia"});
  if (result.errors.find("pip could not download") != std::string::npos) GTEST_SKIP() << result.errors;
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_NE(result.errors.find("111 documents"), std::string::npos) << result.errors;
  for (const auto& [split, documents] : {std::pair<std::string, int>{"train", 99}, {"valid", 6}, {"test", 6}}) {
    const auto lines = Text("../wikipedia/" + split + ".text");
    EXPECT_EQ(std::count(lines.begin(), lines.end(), ""), documents) << split;
    for (const std::string& line : lines) {
      for (const std::string markup : {"{{", "}}", "[[", "]]", "<ref", "thumb|"}) {
        EXPECT_EQ(line.find(markup), std::string::npos) << line;
      }
    }
  }
}

}  // namespace
}  // namespace strata::data
