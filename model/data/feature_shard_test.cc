#include "model/data/feature_shard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "model/data/file.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FeatureShardTest : public ::testing::Test {
 protected:
  FeatureShardTest() {
    std::string name = (std::filesystem::temp_directory_path() / "strata-features-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FeatureShardTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path Path() const { return folder_ / "x.features"; }
  // Two clips of 2 bins: two frames, then one.
  void Write() {
    FeatureShardWriter writer(Path(), 2);
    writer.Add(std::vector<float>{1, 2, 3, 4});
    writer.Add(std::vector<float>{-0.5f, 6});
    writer.Finish();
  }
  size_t Files() const {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }
  std::string ErrorOf(Shard::Check check = Shard::Check::kAll) const {
    try {
      FeatureShard::Open(Path(), check);
    } catch (const DataError& e) {
      return e.what();
    }
    return "no error";
  }
  std::string ErrorOfSpoiled(const std::function<void(std::string*)>& spoil,
                             Shard::Check check = Shard::Check::kStructure) {
    Write();
    std::string bytes = ReadFile(Path());
    spoil(&bytes);
    std::ofstream(Path(), std::ios::binary) << bytes;
    return ErrorOf(check);
  }

  std::filesystem::path folder_;
};

TEST_F(FeatureShardTest, ReadsBackWhatWasWritten) {
  Write();
  const FeatureShard shard = FeatureShard::Open(Path());
  EXPECT_EQ(shard.bins(), 2);
  ASSERT_EQ(shard.clips(), 2u);
  EXPECT_EQ(shard.frames(0), 2);
  EXPECT_EQ(shard.frames(1), 1);
  EXPECT_THAT(shard.Clip(0), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(shard.Clip(1), ElementsAre(-0.5f, 6));
  EXPECT_EQ(Files(), 1u);
}

TEST_F(FeatureShardTest, HoldsNoClipsToo) {
  FeatureShardWriter(Path(), 80).Finish();
  EXPECT_EQ(FeatureShard::Open(Path()).clips(), 0u);
}

TEST_F(FeatureShardTest, LeavesNothingBehindUnlessFinished) {
  {
    FeatureShardWriter writer(Path(), 2);
    writer.Add(std::vector<float>{1, 2});
  }
  EXPECT_EQ(Files(), 0u);
}

TEST_F(FeatureShardTest, RefusesClipsThatAreNoWholeFrames) {
  FeatureShardWriter writer(Path(), 2);
  EXPECT_THROW(writer.Add(std::vector<float>{1, 2, 3}), DataError);
  EXPECT_THROW(writer.Add({}), DataError);
  EXPECT_THROW(FeatureShardWriter(Path(), 0), DataError);
}

TEST_F(FeatureShardTest, NoticesEveryFlippedByteAndEveryTruncation) {
  Write();
  const std::string whole = ReadFile(Path());
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bytes = whole;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x10);
    std::ofstream(Path(), std::ios::binary) << bytes;
    EXPECT_NE(ErrorOf(), "no error") << "byte " << i;
    std::ofstream(Path(), std::ios::binary) << whole.substr(0, i);
    EXPECT_NE(ErrorOf(), "no error") << "cut at " << i;
  }
}

TEST_F(FeatureShardTest, SaysWhatIsWrong) {
  const auto set = [](size_t at, uint64_t value) {
    return [=](std::string* bytes) { std::memcpy(bytes->data() + at, &value, sizeof(value)); };
  };
  EXPECT_THAT(ErrorOf(), HasSubstr("Cannot open features"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { (*b)[0] = 'X'; }), HasSubstr("does not start with STRATAFE"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { (*b)[8] = 9; }), HasSubstr("has version 9"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { (*b)[12] = 0; }), HasSubstr("claims 0 bins"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { b->pop_back(); }), HasSubstr("truncated: 95 of 96 bytes"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { b->push_back(0); }), HasSubstr("1 bytes too many"));
  EXPECT_THAT(ErrorOfSpoiled(set(16, ~uint64_t{0})), HasSubstr("claims 18,446,744,073,709,551,615 clips"));
  EXPECT_THAT(ErrorOfSpoiled(set(24, 4)), HasSubstr("claims 4 frames"));
  EXPECT_THAT(ErrorOfSpoiled(set(48, 1)), HasSubstr("do not start at 0"));
  EXPECT_THAT(ErrorOfSpoiled(set(56, 0)), HasSubstr("do not rise at clip 0"));
  EXPECT_THAT(ErrorOfSpoiled(set(64, 5)), HasSubstr("do not end with its frames"));
  EXPECT_THAT(ErrorOfSpoiled([](std::string* b) { b->back() ^= 1; }, Shard::Check::kAll), HasSubstr("the hash"));
}

}  // namespace
}  // namespace strata::model
