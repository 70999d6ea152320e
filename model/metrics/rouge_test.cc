#include "model/metrics/rouge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::model {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RougeTokensTest, AreRunsOfLowerCaseLettersAndDigits) {
  EXPECT_THAT(RougeTokens("The U.S. said it's 3.5% UP"),
              ElementsAre("the", "u", "s", "said", "it", "s", "3", "5", "up"));
  EXPECT_THAT(RougeTokens("Stra\u00dfe"), ElementsAre("stra", "e"));
  EXPECT_THAT(RougeTokens("\u0130stanbul 5\u212am \u00c0b"), ElementsAre("i", "stanbul", "5km", "b"));
  EXPECT_THAT(RougeTokens(""), IsEmpty());
  EXPECT_THAT(RougeTokens("\u65e5\u672c, \u2026!"), IsEmpty());
}

// Values of rouge-score 0.1.2; tests/metrics compares with the package itself, on more.
TEST(RougeTest, EqualsRougeScore) {
  struct Case {
    std::string hypothesis, reference;
    double rouge1, rouge2, rougeL;
  };
  for (const Case& c : std::vector<Case>{
           {"the cat sat on the mat", "the cat sat on the mat", 1, 1, 1},
           {"police kill the gunman", "police killed the gunman", 0.75, 1. / 3, 0.75},
           {"the gunman kill police", "police killed the gunman", 0.75, 1. / 3, 0.5},
           {"the the the the", "the", 0.4, 0, 0.4},
           {"a b c d", "d c b a", 1, 0, 0.25},
           {"one", "one", 1, 0, 1},
           {"", "", 0, 0, 0},
           {"", "a b", 0, 0, 0},
           {"a b", "\u65e5\u672c", 0, 0, 0},
       }) {
    const RougeScore score = Rouge(c.hypothesis, c.reference);
    EXPECT_NEAR(score.rouge1, c.rouge1, 1e-12) << c.hypothesis;
    EXPECT_NEAR(score.rouge2, c.rouge2, 1e-12) << c.hypothesis;
    EXPECT_NEAR(score.rougeL, c.rougeL, 1e-12) << c.hypothesis;
  }
}

}  // namespace
}  // namespace strata::model
