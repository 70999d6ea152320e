#include "model/data/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/data/file.h"

namespace strata::model {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

class ManifestTest : public ::testing::Test {
 protected:
  ManifestTest() {
    std::string name = (std::filesystem::temp_directory_path() / "strata-manifest-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
    const std::vector<Piece> pieces = {{"<s>", PieceKind::kControl},
                                       {"<pad>", PieceKind::kControl},
                                       {"</s>", PieceKind::kControl},
                                       {"<unk>", PieceKind::kUnknown},
                                       {"a"}};
    ShardWriter writer(pieces, 2);
    const std::vector<int32_t> ids = {4, 4};
    writer.Add(std::vector<std::span<const int32_t>>{ids, ids});
    writer.Write(folder_ / "train-00000.shard");
    std::ofstream(folder_ / "vocabulary.model") << "a model";
    std::filesystem::create_directory(folder_ / "text");
    std::ofstream(folder_ / "text" / "train.source") << "aa\n";
    manifest_.name = "tiny";
    manifest_.source_language = "en";
    manifest_.target_language = "de";
    manifest_.vocabulary_size = 5;
    manifest_.vocabulary_file = "vocabulary.model";
    manifest_.splits["train"] = {.sentences = 1,
                                 .source_tokens = 2,
                                 .target_tokens = 2,
                                 .shards = {"train-00000.shard"},
                                 .source_text = "text/train.source"};
    manifest_.statistics_json = R"({"words":7})";
    WriteManifest(folder_, &manifest_);
  }
  ~ManifestTest() override { std::filesystem::remove_all(folder_); }

  template <typename Action>
  static std::string ErrorOf(Action action) {
    try {
      action();
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  }
  std::string ErrorAfter(const json& patch) {
    json document = json::parse(ReadFile(folder_ / "manifest.json"));
    document.merge_patch(patch);
    std::ofstream(folder_ / "manifest.json") << document;
    return ErrorOf([&] { ReadManifest(folder_); });
  }

  std::filesystem::path folder_;
  Manifest manifest_;
};

TEST_F(ManifestTest, ReadsWhatWasWritten) {
  const Manifest m = ReadManifest(folder_);
  EXPECT_EQ(m.name, "tiny");
  EXPECT_EQ(m.target_language, "de");
  EXPECT_EQ(m.digest, manifest_.digest);
  ASSERT_EQ(m.files.size(), 3u);
  EXPECT_EQ(m.files[0].path, "text/train.source");
  EXPECT_EQ(m.files[0].bytes, 3u);
  EXPECT_EQ(m.statistics_json, R"({"words":7})");
  EXPECT_EQ(m.Split("train").source_text, "text/train.source");
  VerifyFiles(folder_, m);
  EXPECT_EQ(OpenSplit(folder_, m, "train").at(0).sentences(), 1u);
  EXPECT_THAT(ErrorOf([&] { m.Split("test"); }), HasSubstr("no split 'test'. It has: train."));
}

TEST_F(ManifestTest, KeepsWhatOnlySomeTasksHave) {
  EXPECT_EQ(ReadManifest(folder_).vocabulary_kind, "bpe");
  EXPECT_EQ(ReadFile(folder_ / "manifest.json").find("detokeniser"), std::string::npos);
  manifest_.vocabulary_kind = "split";
  manifest_.detokeniser = "moses-de";
  manifest_.splits["train"].words = 12;
  manifest_.splits["train"].lines = 3;
  WriteManifest(folder_, &manifest_);
  const Manifest m = ReadManifest(folder_);
  EXPECT_EQ(m.vocabulary_kind, "split");
  EXPECT_EQ(m.detokeniser, "moses-de");
  EXPECT_EQ(m.Split("train").words, 12u);
  EXPECT_EQ(m.Split("train").lines, 3u);
}

TEST_F(ManifestTest, KeepsSpeechFeaturesOneFileAShard) {
  std::ofstream(folder_ / "train-00000.features") << "features";
  manifest_.features = {.bins = 80, .cmvn = "utterance"};
  manifest_.splits["train"].features = {"train-00000.features"};
  manifest_.splits["train"].frames = 77;
  WriteManifest(folder_, &manifest_);
  const Manifest m = ReadManifest(folder_);
  EXPECT_EQ(m.features.bins, 80);
  EXPECT_EQ(m.features.cmvn, "utterance");
  EXPECT_EQ(m.Split("train").frames, 77u);
  EXPECT_THAT(ErrorAfter({{"splits", {{"train", {{"features", {"a", "b"}}}}}}}), HasSubstr("has not one file a shard"));
}

TEST_F(ManifestTest, DigestIsTheHashOfPathsAndHashes) {
  std::string lines;
  for (const DatasetFile& f : manifest_.files) lines += f.path + " " + FileSha256(folder_ / f.path) + "\n";
  EXPECT_EQ(manifest_.digest, Sha256(lines));
}

TEST_F(ManifestTest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(ErrorAfter({{"format", 2}}), HasSubstr("format 2 is not 1"));
}
TEST_F(ManifestTest, NamesTheFieldThatIsMissing) {
  EXPECT_THAT(ErrorAfter({{"vocabulary", {{"size", nullptr}}}}), HasSubstr("vocabulary.size is missing"));
}
TEST_F(ManifestTest, NamesTheFieldOfTheWrongType) {
  EXPECT_THAT(ErrorAfter({{"splits", {{"train", {{"sentences", -1}}}}}}),
              HasSubstr("splits.train.sentences is not a count"));
}
TEST_F(ManifestTest, RefusesAnotherPadId) {
  EXPECT_THAT(ErrorAfter({{"vocabulary", {{"pad", 0}}}}), HasSubstr("vocabulary.pad is not 1"));
}
TEST_F(ManifestTest, RefusesADigestThatDoesNotBelong) {
  EXPECT_THAT(ErrorAfter({{"digest", "00"}}), HasSubstr("digest does not belong"));
}
TEST_F(ManifestTest, RefusesAFileThatIsUsedButNotListed) {
  EXPECT_THAT(ErrorAfter({{"splits", {{"train", {{"shards", {"other.shard"}}}}}}}),
              HasSubstr("'other.shard' is used but not"));
}
TEST_F(ManifestTest, RefusesPathsThatLeadOut) {
  for (const std::string path : {"../x", "/etc/passwd", "a/../../b", "a//b/./c", ""}) {
    EXPECT_THAT(ErrorAfter({{"files", {{{"path", path}, {"bytes", 1}, {"sha256", "0"}}}}}), HasSubstr("leads out"))
        << path;
  }
}
TEST_F(ManifestTest, SaysWhereThereIsNoDataset) {
  EXPECT_THAT(ErrorOf([&] { ReadManifest(folder_ / "none"); }), HasSubstr("no such folder"));
  EXPECT_THAT(ErrorOf([&] { ReadManifest(folder_ / "text"); }), HasSubstr("has no manifest.json"));
  std::ofstream(folder_ / "manifest.json") << "{\"format\": 1,";
  EXPECT_THAT(ErrorOf([&] { ReadManifest(folder_); }), HasSubstr("is no JSON"));
}

TEST_F(ManifestTest, NoticesFilesThatChanged) {
  const auto verify = [&](Verify how) { return ErrorOf([&] { VerifyFiles(folder_, manifest_, how); }); };
  std::ofstream(folder_ / "vocabulary.model") << "A model";
  EXPECT_EQ(verify(Verify::kSizes), "no error");
  EXPECT_THAT(verify(Verify::kHashes), HasSubstr("vocabulary.model is damaged"));
  std::ofstream(folder_ / "vocabulary.model") << "a mod";
  EXPECT_THAT(verify(Verify::kSizes), HasSubstr("vocabulary.model is truncated: 5 of 7 bytes"));
  std::filesystem::remove(folder_ / "vocabulary.model");
  EXPECT_THAT(verify(Verify::kSizes), HasSubstr("vocabulary.model is missing"));
}

TEST_F(ManifestTest, HoldsShardsAgainstTheManifest) {
  const auto open = [&] { return ErrorOf([&] { OpenSplit(folder_, manifest_, "train"); }); };
  manifest_.splits["train"].sentences = 2;
  EXPECT_THAT(open(), HasSubstr("splits.train claims 2 sentences, its shards hold 1"));
  manifest_.vocabulary_size = 6;
  EXPECT_THAT(open(), HasSubstr("vocabulary of 5 pieces, the manifest one of 6"));
}

}  // namespace
}  // namespace strata::model
