#include "model/metrics/bleu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "model/metrics/text.h"

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Values of sacreBLEU 2.6.0; tests/metrics compares with the program itself, on more.
TEST(Tokenize13aTest, EqualsSacreBleu) {
  for (const auto& [line, tokens] : std::vector<std::pair<std::string, std::string>>{
           {"a.b 1.5, x", "a . b 1.5 , x"},
           {"5.", "5 ."},
           {"...", ". . ."},
           {"x,,y", "x , , y"},
           {"1-2 a-b 3--4", "1 - 2 a-b 3 - -4"},
           {"&lt;b&gt;", "< b >"},
           {"\xd9\xa5-\xd9\xa5.\xd9\xa5", "\xd9\xa5-\xd9\xa5 . \xd9\xa5"},
           {"\xc3\xa9.\xc3\xa9", "\xc3\xa9 . \xc3\xa9"},
           {"don't", "don't"},
           {"[a]{b}~`^", "[ a ] { b } ~ ` ^"},
           {"\xe2\x82\xac"
            "5,00-\xe2\x82\xac"
            "6.00",
            "\xe2\x82\xac"
            "5,00 - \xe2\x82\xac"
            "6.00"},
           {"a..b.,c", "a . . b . , c"},
           {"<skipped>", ""},
       }) {
    EXPECT_EQ(Tokenize13a(line), tokens);
  }
}

TEST(BleuTest, EqualsSacreBleu) {
  struct Case {
    std::vector<std::string> hypotheses, references;
    double score, brevity_penalty;
    int hypothesis_length, reference_length;
  };
  const std::vector<Case> cases = {
      {{"the cat sat on the mat"}, {"the cat sat on the mat"}, 100.00000000000004, 1.0, 6, 6},
      {{"the the the the"}, {"the cat"}, 15.97357760615681, 1.0, 4, 2},
      {{"a b c"}, {"a b c"}, 0.0, 1.0, 3, 3},
      {{"a"}, {"a"}, 0.0, 1.0, 1, 1},
      {{""}, {"something here"}, 0.0, 0.0, 0, 2},
      {{"something"}, {""}, 0.0, 1.0, 1, 0},
      {{""}, {""}, 0.0, 1.0, 0, 0},
      {{"the cat sat on the mat", "a dog"},
       {"the cat sat on a mat", "the dog barks loudly"},
       38.940039153570254,
       0.7788007830714049,
       8,
       10},
      {{"It's 3.14, isn't it? (yes) 5-3 x-y."},
       {"It is 3.14, is it not? (Yes) 5-3 x-y."},
       38.389689027397665,
       0.8668778997501817,
       14,
       16},
      {{"Die &quot;Gr\xc3\xb6\xc3\x9f"
        "e&quot; ist 1.000,5 &amp;amp; mehr \xe2\x80\xa6"},
       {"Die \"Gr\xc3\xb6\xc3\x9f"
        "e\" ist 1.000,5 &amp; mehr\xe2\x80\xa6"},
       57.067457770559976,
       1.0,
       11,
       8},
      {{"a\xc2\xa0"
        "b\xe3\x80\x80"
        "c\xe2\x80\xa8"
        "d\xc2\x85"
        "e  f\x09 g"},
       {"a b c d e f g"},
       100.00000000000004,
       1.0,
       7,
       7},
      {{"  leading and trailing \xe2\x80\x89 "}, {"leading and trailing"}, 0.0, 1.0, 3, 3},
      {{"<skipped> und x <skip<skipped>ped> y z w"}, {"und x y z w v"}, 25.848657697858535, 1.0, 8, 6},
      {{"same same same same same same"}, {"same same same"}, 30.213753973567677, 1.0, 6, 3},
      {{"no match here at all"}, {"v\xc3\xb6llig anders als dies da"}, 0.0, 1.0, 5, 5},
      {{"one two three four five six seven"},
       {"one two three four five six seven eight nine ten"},
       65.14390575310559,
       0.6514390575310556,
       7,
       10},
      {{"x\x0dy z",
        "\xef\xbb\xbf"
        "BOM line here now"},
       {"x y z", "BOM line here now"},
       69.14415692838818,
       1.0,
       7,
       7},
      {{"1,000.50 and .5 and 5. and a,b and 2-3 and -4"},
       {"1,000.50 and .5 and 5 . and a , b and 2 - 3 and -4"},
       100.00000000000004,
       1.0,
       17,
       17},
  };
  for (const Case& c : cases) {
    const BleuScore score = Bleu(c.hypotheses, c.references);
    EXPECT_NEAR(score.score, c.score, 1e-9) << c.hypotheses[0];
    EXPECT_NEAR(score.brevity_penalty, c.brevity_penalty, 1e-12) << c.hypotheses[0];
    EXPECT_EQ(score.hypothesis_length, c.hypothesis_length) << c.hypotheses[0];
    EXPECT_EQ(score.reference_length, c.reference_length) << c.hypotheses[0];
  }
}

TEST(BleuTest, IsTheSameWhenCountedInParts) {
  const std::vector<std::string> hypotheses = {"a b c d e", "x y", "one two three four"};
  const std::vector<std::string> references = {"a b c d f", "x z", "one two three five"};
  BleuCounts first, rest;
  first.Add(hypotheses[0], references[0]);
  rest.Add(hypotheses[1], references[1]);
  rest.Add(hypotheses[2], references[2]);
  first += rest;
  EXPECT_EQ(first.Score().score, Bleu(hypotheses, references).score);
}

TEST(BleuTest, RefusesUnequalNumbersOfLinesAndNone) {
  const std::vector<std::string> one = {"a"}, two = {"a", "b"}, none;
  EXPECT_THROW(Bleu(one, two), std::invalid_argument);
  EXPECT_THROW(Bleu(none, none), std::invalid_argument);
}

TEST(LinesTest, EndAtLineFeedOnly) {
  EXPECT_THAT(Lines(""), IsEmpty());
  EXPECT_THAT(Lines("\n"), ElementsAre(""));
  EXPECT_THAT(Lines("a\nb"), ElementsAre("a", "b"));
  EXPECT_THAT(Lines("a\n\nb\n"), ElementsAre("a", "", "b"));
  EXPECT_THAT(Lines("a\r\vb\xc2\x85"
                    "c\xe2\x80\xa8"
                    "d\n"),
              ElementsAre("a\r\vb\xc2\x85"
                          "c\xe2\x80\xa8"
                          "d"));
}

TEST(SplitAtSpacesTest, KnowsEveryWhiteSpaceOfUnicode) {
  const std::vector<std::string> spaces = {"\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",
                                           "\x1e",   "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000",
                                           "\u2005", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  for (const std::string& space : spaces) {
    EXPECT_THAT(SplitAtSpaces(space + "a" + space + space + "b" + space), ElementsAre("a", "b"));
    EXPECT_EQ(WithoutTrailingSpace("a" + space + " " + space), "a");
  }
  for (const std::string other : {"\u200b", "\u180e", "\u2060", "\ufeff", "\u00ad", "\xe2\x80", "\xa0", "\x85"}) {
    EXPECT_THAT(SplitAtSpaces("a" + other + "b"), ElementsAre("a" + other + "b"));
    EXPECT_EQ(WithoutTrailingSpace("a" + other), "a" + other);
  }
}

}  // namespace
}  // namespace strata::model
