#include "worker/data/word_vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Count(const std::vector<std::string_view>& lines, VocabularyOptions options = {.size = 0}) {
  const std::vector<std::span<const std::string_view>> texts = {lines};
  return CountWords(texts, options);
}

std::string RoundTrip(const std::string& dictionary, bool split, std::string_view line) {
  const WordVocabulary vocabulary(dictionary, split, "dict.txt");
  const auto ids = vocabulary.Encode(line);
  return model::Detokenise(vocabulary.Pieces(), ids);
}

template <typename Action>
std::string ErrorOf(Action action) {
  try {
    action();
  } catch (const model::DataError& e) {
    return e.what();
  }
  return "no error";
}

TEST(AsciiWordsTest, PartsAtAsciiSpacesOnly) {
  EXPECT_THAT(AsciiWords("  a\tb\n\v\f\rc "), ElementsAre("a", "b", "c"));
  EXPECT_THAT(AsciiWords("a\u00a0b"), ElementsAre("a\u00a0b"));
  EXPECT_TRUE(AsciiWords(" \t").empty());
}

TEST(CountWordsTest, OrdersByFallingCountThenByBytes) {
  EXPECT_EQ(Count({"b c c a", "c b a", "", "ä"}), "c 3\na 2\nb 2\nä 1\n");
}
TEST(CountWordsTest, LeavesOutWhatIsRareAndWhatIsAControlPiece) {
  EXPECT_EQ(Count({"the <unk> the dog <unk> <unk>", "</s> <s> <pad> the"}, {.size = 0, .min_count = 2}), "the 3\n");
}
TEST(CountWordsTest, TakesTheMostFrequentOnes) { EXPECT_EQ(Count({"a a a b b c"}, {.size = 6}), "a 3\nb 2\n"); }
TEST(CountWordsTest, SaysHowLargeAVocabularyCanBe) {
  EXPECT_EQ(ErrorOf([] { Count({"a a b"}, {.size = 5000, .min_count = 2}); }),
            "Cannot make a vocabulary of 5,000 pieces: the text has only 1 different words that stand there 2 times or "
            "more. Ask for --vocabulary 5 or less, or for 0 to take all; or give more text.");
  EXPECT_THAT(ErrorOf([] { Count({""}); }), HasSubstr("There are no words to make a vocabulary of"));
}

TEST(WordVocabularyTest, GivesIdsFromFourOnAndUnknownToTheRest) {
  const WordVocabulary vocabulary("the 9\ndog 2\n", false, "dict.txt");
  EXPECT_THAT(vocabulary.Encode(" the  dog\tcat <unk> </s> "),
              ElementsAre(4, 5, model::kUnkId, model::kUnkId, model::kUnkId));
  const auto pieces = vocabulary.Pieces();
  ASSERT_EQ(pieces.size(), 6u);
  EXPECT_EQ(pieces[model::kUnkId].kind, model::PieceKind::kUnknown);
  EXPECT_EQ(pieces[4].text, "the");
}

TEST(WordVocabularyTest, DetokenisesToTheSameLine) {
  for (const auto& [split, line, text] : std::vector<std::tuple<bool, std::string, std::string>>{
           {false, "the dog", "the dog"},
           {false, "  the   dog ", "the dog"},
           {false, "", ""},
           {false, "dog@@ the", "dog@@ the"},  // nothing but a word here
           {true, "dog@@ the", "dogthe"},
           {true, "the dog@@ dog@@ dog the", "the dogdogdog the"},
           {true, "dog@@ none dog", "dog \u2047 dog"},
           {true, "none the", " \u2047 the"},
           {true, "the dog@@", "the dog"}}) {
    EXPECT_EQ(RoundTrip("the 9\ndog 2\ndog@@ 1\n", split, line), text) << line;
  }
}

TEST(WordVocabularyTest, ReadsFairseqsDictionaries) {
  const WordVocabulary padded("a 2\nb 1\nmadeupword0000 0\n", false, "dict.txt");
  EXPECT_EQ(padded.Pieces().size(), 7u);
  const WordVocabulary overwritten("a 2\nb 1\na 7 #fairseq:overwrite\n<unk> 9 #fairseq:overwrite\n", false, "dict.txt");
  EXPECT_THAT(overwritten.Encode("a b <unk>"), ElementsAre(6, 5, 7));
}

TEST(WordVocabularyTest, NamesFileAndLineOfWhatIsNoDictionary) {
  for (const auto& [dictionary, why] :
       std::vector<std::pair<std::string, std::string>>{{"", "dict.txt holds no words"},
                                                        {"a 1\nb\n", "dict.txt:2: 'b' is not a word and its count"},
                                                        {"a one\n", "dict.txt:1: 'a one'"},
                                                        {"a b 1\n", "dict.txt:1: 'a b 1'"},
                                                        {" 1\n", "dict.txt:1:"},
                                                        {"a 1\na 2\n", "dict.txt:2: 'a' is there already as id 4"},
                                                        {"<unk> 3\n", "dict.txt:1: <unk> is a control piece"},
                                                        {"\xff 3\n", "dict.txt:1: not valid UTF-8"}}) {
    EXPECT_THAT(ErrorOf([&] { WordVocabulary(dictionary, false, "dict.txt"); }), HasSubstr(why)) << dictionary;
  }
}

}  // namespace
}  // namespace strata::data
