// The text and the dataset that the quickstart uses, fetched for real: how much there is, and that nothing leaks.
// Needs the machine's package archive; skipped without it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace strata::data
