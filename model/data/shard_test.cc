#include "model/data/shard.h"

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
using ::testing::IsEmpty;

constexpr int32_t kA = 4, kB = 5, kSpaceA = 6, kByteC3 = 7, kByteA4 = 8;

std::vector<Piece> SomePieces() {
  using enum PieceKind;
  return {{"<s>", kControl}, {"<pad>", kControl}, {"</s>", kControl}, {"<unk>", kUnknown}, {"a", kNormal},
          {"b", kNormal},    {"▁a", kNormal},     {"<0xC3>", kByte},  {"<0xA4>", kByte}};
}

class ShardTest : public ::testing::Test {
 protected:
  ShardTest() {
    std::string name = (std::filesystem::temp_directory_path() / "strata-shard-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~ShardTest() override { std::filesystem::remove_all(folder_); }

  // Three sentences; the second is empty on the target side, the third on the source side.
  std::filesystem::path Written() {
    ShardWriter writer(SomePieces(), 2);
    const auto add = [&](std::vector<int32_t> source, std::vector<int32_t> target) {
      writer.Add(std::vector<std::span<const int32_t>>{source, target});
    };
    add({kSpaceA, kB}, {kA});
    add({kB}, {});
    add({}, {kA, kA, kB});
    writer.Write(folder_ / "x.shard");
    return folder_ / "x.shard";
  }
  std::filesystem::path Spoiled(const std::function<void(std::string*)>& spoil) {
    std::string bytes = ReadFile(Written());
    spoil(&bytes);
    std::ofstream(folder_ / "spoiled.shard", std::ios::binary) << bytes;
    return folder_ / "spoiled.shard";
  }
  static std::string ErrorOf(const std::filesystem::path& path) {
    try {
      Shard::Open(path);
    } catch (const DataError& e) {
      return e.what();
    }
    return "";
  }

  std::filesystem::path folder_;
};

TEST_F(ShardTest, GivesBackWhatWasWritten) {
  const Shard shard = Shard::Open(Written());
  EXPECT_EQ(shard.streams(), 2);
  EXPECT_EQ(shard.sentences(), 3u);
  EXPECT_EQ(shard.tokens(0), 3u);
  EXPECT_EQ(shard.tokens(1), 4u);
  EXPECT_THAT(shard.Sentence(0, 0), ElementsAre(kSpaceA, kB));
  EXPECT_THAT(shard.Sentence(0, 2), IsEmpty());
  EXPECT_THAT(shard.Sentence(1, 1), IsEmpty());
  EXPECT_THAT(shard.Sentence(1, 2), ElementsAre(kA, kA, kB));
  EXPECT_THAT(std::vector<Piece>(shard.pieces().begin(), shard.pieces().end()), SomePieces());
}

TEST_F(ShardTest, HoldsNoSentencesAtAll) {
  ShardWriter(SomePieces(), 1).Write(folder_ / "empty.shard");
  const Shard shard = Shard::Open(folder_ / "empty.shard");
  EXPECT_EQ(shard.sentences(), 0u);
  EXPECT_EQ(shard.tokens(0), 0u);
}

TEST_F(ShardTest, IsTheSameBytesEachTime) {
  const std::string first = ReadFile(Written());
  EXPECT_EQ(ReadFile(Written()), first);
}

TEST_F(ShardTest, NoticesEveryFlippedByte) {
  const std::string good = ReadFile(Written());
  for (size_t i = 0; i < good.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      const auto path = Spoiled([&](std::string* bytes) { (*bytes)[i] = static_cast<char>((*bytes)[i] ^ mask); });
      EXPECT_THAT(ErrorOf(path), HasSubstr("spoiled.shard")) << "byte " << i << " mask " << mask;
    }
  }
}

TEST_F(ShardTest, NoticesEveryTruncation) {
  const std::string good = ReadFile(Written());
  for (size_t length = 0; length < good.size(); ++length) {
    const auto path = Spoiled([&](std::string* bytes) { bytes->resize(length); });
    EXPECT_THAT(ErrorOf(path), HasSubstr("spoiled.shard")) << length << " bytes";
  }
}

// Offsets in the header: streams 12, sentences 16, pieces 24, offsets 32, 40 and 48, length 56, hash 64.
template <typename T>
std::function<void(std::string*)> Set(size_t at, T value) {
  return [=](std::string* bytes) { std::memcpy(bytes->data() + at, &value, sizeof(value)); };
}

TEST_F(ShardTest, SaysWhatIsWrongAndWhatToDo) {
  const uint64_t huge = ~uint64_t{0};
  struct Case {
    std::function<void(std::string*)> spoil;
    std::string says;
  };
  const std::vector<Case> cases = {
      {Set<char>(0, 'X'), "is no shard"},
      {Set<uint32_t>(8, 2), "has shard version 2; this program reads version 1"},
      {[](std::string* b) { b->resize(100); }, "is truncated: 100 of "},
      {[](std::string* b) { b->resize(20); }, "is truncated: 20 bytes"},
      {[](std::string* b) { b->clear(); }, "is empty"},
      {[](std::string* b) { *b += "xy"; }, "2 bytes too many"},
      {Set<uint32_t>(12, 0), "claims 0 streams"},
      {Set<uint32_t>(12, 0xffffffff), "claims 4,294,967,295 streams"},
      {Set<uint64_t>(16, huge), "sentences"},
      {Set<uint64_t>(16, huge / 16), "sentences"},
      {Set<uint64_t>(24, huge), "pieces"},
      {Set<uint64_t>(32, huge), "offsets do not fit"},
      {Set<uint64_t>(40, huge - 7), "offsets do not fit"},
      {Set<uint64_t>(48, huge - 7), "offsets do not fit"},
      {Set<uint64_t>(56, huge), "is truncated"},
      {Set<uint64_t>(64, 0), "does not have the hash"},
      {Set<uint32_t>(72, 5), "does not have the hash"},
  };
  for (const Case& c : cases) {
    const std::string error = ErrorOf(Spoiled(c.spoil));
    EXPECT_THAT(error, HasSubstr(c.says));
    EXPECT_THAT(error, HasSubstr("spoiled.shard"));
  }
  EXPECT_THAT(ErrorOf(folder_ / "missing.shard"), HasSubstr("No such file"));
  EXPECT_THAT(ErrorOf(folder_), HasSubstr("not a regular file"));
}

// Damage that a wrong hash would hide: checked without it.
TEST_F(ShardTest, ChecksTheStructureByItself) {
  const std::string good = ReadFile(Written());
  uint64_t index = 0, tokens = 0;
  std::memcpy(&index, good.data() + 40, 8);
  std::memcpy(&tokens, good.data() + 48, 8);
  const uint64_t huge = ~uint64_t{0};
  const std::vector<std::pair<std::function<void(std::string*)>, std::string>> cases = {
      {Set<uint32_t>(72, 0xffffffff), "piece 0 claims 4,294,967,295 bytes"},
      {Set<uint8_t>(76, 9), "unknown kind 9"},
      {Set<uint64_t>(24, 8), "does not end where the index starts"},
      {Set<uint64_t>(24, 10), "cut off at 9"},
      {Set<uint64_t>(index, 1), "does not start at 0"},
      {Set<uint64_t>(index + 8, 7), "runs backwards at sentence 2"},
      {Set<uint64_t>(index + 24, huge), "beyond the end of the file"},
      {Set<uint64_t>(index + 24, huge / 4 + 2), "beyond the end of the file"},
      {Set<uint64_t>(index + 24, 20), "beyond the end of the file"},
  };
  for (const auto& [spoil, says] : cases) {
    const auto path = Spoiled(spoil);
    try {
      Shard::Open(path, Shard::Check::kStructure);
      FAIL() << says;
    } catch (const DataError& e) {
      EXPECT_THAT(e.what(), HasSubstr(says));
    }
  }
}

TEST_F(ShardTest, RefusesIdsThatAreNoPieces) {
  ShardWriter writer(SomePieces(), 1);
  for (const int32_t id : {-1, 9, 1 << 30}) {
    const std::vector<int32_t> ids = {kA, id};
    EXPECT_THROW(writer.Add(std::vector<std::span<const int32_t>>{ids}), DataError) << id;
    EXPECT_THROW(Detokenise(SomePieces(), ids), DataError) << id;
  }
  EXPECT_EQ(writer.tokens(0), 0u);
}

TEST_F(ShardTest, NamesTheFileThatCannotBeWritten) {
  const ShardWriter writer(SomePieces(), 1);
  try {
    writer.Write(folder_ / "no" / "such" / "x.shard");
    FAIL();
  } catch (const DataError& e) {
    EXPECT_THAT(e.what(), HasSubstr("no/such/x.shard"));
  }
}

TEST(DetokeniseTest, FollowsSentencePiece) {
  const std::vector<std::pair<std::vector<int32_t>, std::string>> cases = {
      {{}, ""},
      {{kSpaceA, kB, kSpaceA}, "ab a"},
      {{kA, kSpaceA}, "a a"},
      {{kBosId, kSpaceA, kEosId, kPadId}, "a"},
      {{kUnkId}, " ⁇ "},
      {{kSpaceA, kUnkId, kB}, "a ⁇ b"},
      {{kSpaceA, kByteC3, kByteA4}, "aä"},
      {{kByteC3, kA},
       "\xEF\xBF\xBD"
       "a"},
      {{kByteA4, kByteC3, kByteA4}, "\xEF\xBF\xBDä"},
  };
  for (const auto& [ids, text] : cases) EXPECT_EQ(Detokenise(SomePieces(), ids), text);
}

TEST(Sha256Test, EqualsThePublishedValues) {
  EXPECT_EQ(Sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(GroupedTest, SetsCommasByThousands) {
  EXPECT_EQ(Grouped(0), "0");
  EXPECT_EQ(Grouped(999), "999");
  EXPECT_EQ(Grouped(1000), "1,000");
  EXPECT_EQ(Grouped(1234567), "1,234,567");
}

}  // namespace
}  // namespace strata::model
