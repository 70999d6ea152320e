#include "model/metrics/bootstrap.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace strata::model {
namespace {

using ::testing::HasSubstr;

// `count` lines of ten words, an error in each with the given chance.
SentenceScores Wer(size_t count, double chance, uint64_t seed, const std::string& split = "test") {
  std::mt19937_64 random(seed);
  SentenceScores scores{.metric = "wer", .splits = {{split, {}}}};
  while (scores.splits[0].rows.size() < count) {
    double edits = 0;
    for (int i = 0; i < 10; ++i) edits += static_cast<double>(random() >> 11) * 0x1p-53 < chance ? 1 : 0;
    scores.splits[0].rows.push_back({edits, 10});
  }
  return scores;
}

Comparison Compare(const SentenceScores& a, const SentenceScores& b, const BootstrapOptions& options = {}) {
  return PairedBootstrap(ValuesOf(a.metric)[0], {&a, 1}, {&b, 1}, options);
}

TEST(PairedBootstrapTest, SeesAClearDifferenceAndWhichWayIsBetter) {
  const SentenceScores good = Wer(500, 0.1, 1), bad = Wer(500, 0.3, 2);
  const Comparison forward = Compare(good, bad), backward = Compare(bad, good);
  EXPECT_NEAR(forward.score_a, 10, 2);
  EXPECT_EQ(forward.wins_a, 1000);
  EXPECT_NEAR(forward.p_value, 1. / 1001, 1e-12);
  EXPECT_LT(forward.difference_high, -15);
  EXPECT_LT(forward.difference_low, forward.difference_high);
  EXPECT_EQ(backward.wins_b, 1000);
  EXPECT_EQ(backward.p_value, forward.p_value);
  EXPECT_EQ(backward.difference, -forward.difference);
}

TEST(PairedBootstrapTest, TakesLuckForLuck) {
  // Twins differ by chance alone: small p-values must be as rare as they say. One-sided, the better side chosen
  // afterwards: p below 0.05 comes up in a tenth of the cases.
  int significant = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    significant +=
        Compare(Wer(100, 0.2, 1000 + 2 * seed), Wer(100, 0.2, 1001 + 2 * seed), {.samples = 200}).p_value < 0.05;
  }
  EXPECT_GT(significant, 5);
  EXPECT_LT(significant, 40);
}

TEST(PairedBootstrapTest, OfASystemWithItselfFindsNothing) {
  const SentenceScores one = Wer(50, 0.2, 3);
  const Comparison comparison = Compare(one, one);
  EXPECT_EQ(comparison.p_value, 1);
  EXPECT_EQ(comparison.wins_a + comparison.wins_b, 0);
}

TEST(PairedBootstrapTest, IsTheSameForTheSameSeed) {
  const SentenceScores a = Wer(60, 0.2, 4), b = Wer(60, 0.25, 5);
  const Comparison first = Compare(a, b), again = Compare(a, b), other = Compare(a, b, {.seed = 7});
  EXPECT_EQ(first.p_value, again.p_value);
  EXPECT_EQ(first.difference_low, again.difference_low);
  EXPECT_NE(first.difference_low, other.difference_low);
  EXPECT_EQ(first.difference, other.difference);
}

TEST(PairedBootstrapTest, AveragesOverSplitsAndTrainings) {
  SentenceScores a{.metric = "rouge", .splits = {{"x", {{1, 0, 0}}}, {"y", {{0, 0, 0}, {0.5, 0, 0}}}}};
  SentenceScores a2 = a;
  a2.splits[0].rows[0] = {0, 0, 0};
  SentenceScores b = a;
  b.splits[0].rows[0] = {0.5, 0, 0};
  const std::vector<SentenceScores> trainings = {a, a2};
  const Comparison comparison = PairedBootstrap("rouge1", trainings, {&b, 1});
  EXPECT_NEAR(comparison.score_a, 100 * ((1 + 0.25) / 2 + (0 + 0.25) / 2) / 2, 1e-12);
  EXPECT_NEAR(comparison.score_b, 100 * (0.5 + 0.25) / 2, 1e-12);
}

TEST(PairedBootstrapTest, RefusesWhatDoesNotPair) {
  const SentenceScores wer = Wer(10, 0.2, 6);
  const auto why = [&](const SentenceScores& other, const std::string& value = "wer",
                       const BootstrapOptions& options = {}) {
    try {
      PairedBootstrap(value, {&wer, 1}, {&other, 1}, options);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  EXPECT_THAT(why(Wer(11, 0.2, 6)), HasSubstr("10 of split test and 11 of split test"));
  EXPECT_THAT(why(Wer(10, 0.2, 6, "valid")), HasSubstr("split valid"));
  EXPECT_THAT(why(wer, "bleu"), HasSubstr("gives no bleu"));
  EXPECT_THAT(why({.metric = "bleu", .splits = wer.splits}), HasSubstr("gives no wer"));
  EXPECT_THAT(why({.metric = "wer"}), HasSubstr("same splits"));
  EXPECT_THAT(why(wer, "wer", {.samples = 0}), HasSubstr("at least one resample"));
}

}  // namespace
}  // namespace strata::model
