#include "model/metrics/wer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/metrics/perplexity.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(WerWordsTest, AreDividedBySpacesAndRunsOfWhiteSpace) {
  EXPECT_THAT(WerWords("  two   words "), ElementsAre("two", "words"));
  EXPECT_THAT(WerWords("\tone\tword\t"), ElementsAre("one\tword"));
  EXPECT_THAT(WerWords("two\t\u00a0words"), ElementsAre("two", "words"));
  EXPECT_THAT(WerWords("one\u00a0word"), ElementsAre("one\u00a0word"));
  EXPECT_THAT(WerWords(" \t\u3000"), IsEmpty());
}

// Values of jiwer 4.0.0; tests/metrics compares with the package itself, on more.
TEST(WerTest, EqualsJiwer) {
  struct Case {
    std::string hypothesis, reference;
    int64_t edits, words;
    double score;
  };
  for (const Case& c : std::vector<Case>{
           {"the cat sat", "the cat sat", 0, 3, 0},
           {"the cat", "the cat sat", 1, 3, 100. / 3},
           {"a the cats sat", "the cat sat", 2, 3, 200. / 3},
           {"b a", "a b", 2, 2, 100},
           {"a b c d", "x", 4, 1, 400},
           {"", "a b", 2, 2, 100},
           {"", "", 0, 0, 0},
           {"a b", "", 2, 0, 200},
           {"The", "the", 1, 1, 100},
       }) {
    const WordErrors errors = CountWordErrors(c.hypothesis, c.reference);
    EXPECT_EQ(errors.edits, c.edits) << c.hypothesis;
    EXPECT_EQ(errors.reference_words, c.words) << c.hypothesis;
    EXPECT_NEAR(errors.Score(), c.score, 1e-12) << c.hypothesis;
  }
}

TEST(PerplexityTest, CountsWordsAndLineEnds) {
  const std::string text = "one two\n\n three\u2028four \nfive";
  EXPECT_EQ(MeasureText(text).words, 5u);
  EXPECT_EQ(MeasureText(text).lines, 4u);
  EXPECT_EQ(MeasureText(text, 2).units(), 4u);
  EXPECT_NEAR(Perplexity(9 * 2.0, 9), 7.38905609893065, 1e-12);
}

}  // namespace
}  // namespace strata::model
