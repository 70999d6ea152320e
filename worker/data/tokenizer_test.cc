#include "worker/data/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "model/data/file.h"
#include "model/metrics/text.h"

namespace strata::data {

// The name of a case.
void PrintTo(const VocabularyOptions& options, std::ostream* out) {
  *out << options.kind << "_" << options.normalization << (options.byte_fallback ? "_bytes" : "");
}

namespace {

using ::testing::HasSubstr;

// Real text that is on every Debian machine: the licences, some 6,000 lines.
const std::vector<std::string>& RealLines() {
  static const std::vector<std::string> lines = [] {
    std::vector<std::string> all;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/share/common-licenses")) {
      if (!entry.is_regular_file() || entry.is_symlink()) continue;
      const std::string text = model::ReadFile(entry.path());
      for (const std::string_view line : model::Lines(text)) all.emplace_back(line);
    }
    std::sort(all.begin(), all.end());
    return all;
  }();
  return lines;
}

std::string Model(VocabularyOptions options) {
  const std::vector<std::span<const std::string>> texts = {RealLines()};
  return TrainVocabulary(texts, options);
}

class DetokenizerTest : public ::testing::TestWithParam<VocabularyOptions> {
 protected:
  static Tokenizer Trained() { return Tokenizer(Model(GetParam())); }
  static void ExpectEqual(const Tokenizer& tokenizer, std::span<const model::Piece> pieces,
                          const std::vector<int32_t>& ids) {
    ASSERT_EQ(model::Detokenise(pieces, ids), tokenizer.Decode(ids)) << ::testing::PrintToString(ids);
  }
};

TEST_P(DetokenizerTest, EqualsSentencePieceOnRealLines) {
  const Tokenizer tokenizer = Trained();
  const std::vector<model::Piece> pieces = tokenizer.Pieces();
  ASSERT_GT(RealLines().size(), 2000u);
  for (const std::string& line : RealLines()) ExpectEqual(tokenizer, pieces, tokenizer.Encode(line));
}

TEST_P(DetokenizerTest, EqualsSentencePieceOnNastyLines) {
  const Tokenizer tokenizer = Trained();
  const std::vector<model::Piece> pieces = tokenizer.Pieces();
  for (const std::string line : {"",
                                 " ",
                                 "   leading",
                                 "trailing   ",
                                 "two  spaces",
                                 "\ttab",
                                 "日本語 here",
                                 "日",
                                 "👍🏽 x",
                                 "a👍",
                                 "▁",
                                 "▁▁a",
                                 "x ▁ y",
                                 "é e\u0301",
                                 "\u00a0\u3000",
                                 "ﬁ Ⅷ ²",
                                 "<unk>",
                                 "<s> </s> <pad>",
                                 "<0x41>",
                                 " ⁇ ",
                                 "a\u200bb",
                                 "ж ж"}) {
    ExpectEqual(tokenizer, pieces, tokenizer.Encode(line));
  }
}

TEST_P(DetokenizerTest, EqualsSentencePieceOnAnyIds) {
  const Tokenizer tokenizer = Trained();
  const std::vector<model::Piece> pieces = tokenizer.Pieces();
  const auto size = static_cast<uint32_t>(pieces.size());
  std::mt19937 random(1);
  for (int i = 0; i < 5000; ++i) {
    std::vector<int32_t> ids(random() % 12);
    // Control, unknown and byte pieces stand at the front of the table: draw from there as often as from all.
    for (int32_t& id : ids) id = static_cast<int32_t>(random() % 3 == 0 ? random() % size : random() % 262 % size);
    ExpectEqual(tokenizer, pieces, ids);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, DetokenizerTest,
                         ::testing::Values(VocabularyOptions{.size = 400},
                                           VocabularyOptions{.size = 600, .byte_fallback = true},
                                           VocabularyOptions{.kind = "unigram", .size = 500},
                                           VocabularyOptions{.size = 400, .normalization = "identity"}));

TEST(TokenizerTest, GivesTheControlPiecesOurIds) {
  const auto pieces = Tokenizer(Model({.size = 300})).Pieces();
  ASSERT_EQ(pieces.size(), 300u);
  EXPECT_EQ(pieces[0], (model::Piece{"<s>", model::PieceKind::kControl}));
  EXPECT_EQ(pieces[1], (model::Piece{"<pad>", model::PieceKind::kControl}));
  EXPECT_EQ(pieces[2], (model::Piece{"</s>", model::PieceKind::kControl}));
  EXPECT_EQ(pieces[3], (model::Piece{"<unk>", model::PieceKind::kUnknown}));
}

TEST(TokenizerTest, IsTheSameModelEachTime) { EXPECT_EQ(Model({.size = 300}), Model({.size = 300})); }

TEST(TokenizerTest, CarriesNoPathOfThisMachine) { EXPECT_EQ(Model({.size = 300}).find("/tmp"), std::string::npos); }

TEST(TokenizerTest, SaysWhatToChangeWhenAVocabularyCannotBe) {
  const std::vector<std::string> lines = {"abc abd"};
  const std::vector<std::span<const std::string>> text = {lines}, none = {};
  const auto error = [&](auto texts, int size) -> std::string {
    try {
      TrainVocabulary(texts, {.size = size});
    } catch (const model::DataError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_THAT(error(text, 4000), HasSubstr("Cannot make a vocabulary of 4,000 pieces"));
  EXPECT_THAT(error(text, 5), HasSubstr("Cannot make a vocabulary of 5 pieces"));
  EXPECT_THAT(error(none, 100), HasSubstr("no text"));
  EXPECT_THROW(Tokenizer("not a model"), model::DataError);
}

}  // namespace
}  // namespace strata::data
