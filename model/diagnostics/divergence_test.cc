#include "model/diagnostics/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace strata::model {
namespace {

constexpr double kU = 6.7, kNan = std::numeric_limits<double>::quiet_NaN(),
                 kInf = std::numeric_limits<double>::infinity();

struct Expected {
  bool diverged = false;
  DivergenceRule rule = DivergenceRule::kNonFinite;
  int64_t update = 0;
};

// A curve with a validation every 100 updates from 0 on, loss and gradient norm finite.
struct Curve {
  std::string name;
  std::vector<double> nll;
  std::vector<double> ratios;  // shorter than nll: the last one stays
  Expected expected;
  bool too_short = false;
};

Judge Fed(const std::vector<Validation>& validations, JudgeSettings settings = {.unigram_nll = kU, .warmup = 400}) {
  Judge judge(settings);
  for (const Validation& validation : validations) judge.Add(validation);
  return judge;
}

std::vector<Validation> Validations(const std::vector<double>& nll, const std::vector<double>& ratios,
                                    int64_t every = 100) {
  std::vector<Validation> validations;
  for (size_t i = 0; i < nll.size(); ++i) {
    Validation v{.update = static_cast<int64_t>(i) * every, .nll = nll[i], .loss = 1, .gradient_norm = 1};
    if (!ratios.empty()) v.layer_ratio = ratios[std::min(i, ratios.size() - 1)];
    validations.push_back(v);
  }
  return validations;
}

constexpr Expected kNone{};
constexpr Expected Rule(DivergenceRule rule, int64_t update) { return {true, rule, update}; }
constexpr auto kBlow = DivergenceRule::kBlowUp, kVan = DivergenceRule::kVanished, kFlatRule = DivergenceRule::kFlat,
               kNon = DivergenceRule::kNonFinite;

TEST(DivergenceTest, DecidesConstructedCurves) {
  const std::vector<Curve> curves = {
      {"learns", {8.7, 7, 6.5, 6.2, 6, 5.8, 5.5}, {0.3}, kNone},
      // blow_up
      {"one spike above the start is none", {8.7, 7, 9.3, 6.5, 6.2, 6}, {1}, kNone},
      {"two in a row are", {8.7, 7, 9.3, 9.3, 6.2, 6}, {1}, Rule(kBlow, 300)},
      {"exactly at the threshold is not above it", {8.5, 7, 9, 9, 6.2, 6}, {1}, kNone},
      {"above unigram after having learned", {8.7, 6.1, 6.9, 6.8}, {1}, Rule(kBlow, 300)},
      {"above unigram without having learned", {8.7, 6.3, 6.9, 6.8}, {1}, kNone, true},
      {"exactly half a nat below is not having learned", {8.7, kU - 0.5, 6.9, 6.8}, {1}, kNone, true},
      {"one clause, then the other", {6.3, 6.1, 6.9, 6.0, 6.75, 6.85}, {1}, Rule(kBlow, 500)},
      {"not in a row", {8.7, 6.1, 6.9, 6.5, 6.8, 6.1}, {1}, kNone},
      // vanished
      {"dead from the first judged on", {8.7, 7, 6.8, 6.75, 6.75, 6.75}, {1e-6}, Rule(kVan, 400)},
      {"needs five ratios", {8.7, 7, 6.8, 6.75}, {1e-6}, kNone, true},
      {"median, not the last", {8.7, 7, 6.8, 6.7, 6.6}, {1, 1, 1, 1e-9, 1e-9}, kNone},
      {"three of five small", {8.7, 7, 6.8, 6.7, 6.6}, {1, 1, 1e-9, 1e-9, 1e-9}, Rule(kVan, 400)},
      {"ratio exactly at the threshold", {8.7, 7, 6.8, 6.7, 6.6}, {1e-4}, kNone},
      {"well below the unigram level", {8.7, 7, 6.8, 6.7, 5.9}, {0}, kNone},
      {"exactly three quarters below is not above", {8.7, 7, 6.8, 6.7, kU - 0.75}, {0}, kNone},
      {"nothing measured", {8.7, 7, 6.6, 6.5, 6.3}, {}, kNone},
      // flat
      {"gains too little", {8.7, 6.75, 6.7, 6.7, 6.695, 6.7}, {1}, Rule(kFlatRule, 400)},
      {"gains a hundredth", {8.7, 6.75, 6.7, 6.7, 6.68, 6.66, 6.64}, {1}, kNone},
      {"flat but below the unigram level", {8.7, 6.4, 6.4, 6.4, 6.4, 6.4}, {1}, kNone},
      {"lowest number first", {8.7, 6.75, 6.75, 6.75, 6.75}, {0}, Rule(kVan, 400)},
      // a spike silences 3 and 4
      {"spike at a judged validation", {8.7, 6.1, 6.1, 6.1, 6.9, 5.9}, {0}, kNone},
      {"spike that stays", {8.7, 6.1, 6.1, 6.1, 6.9, 6.9}, {0}, Rule(kBlow, 500)},
      {"spike above the start silences too", {6.0, 6.3, 6.4, 6.4, 6.65, 5.9}, {0}, kNone},
      // the first verdict stays
      {"after the verdict", {8.7, 6.75, 6.75, 6.75, 6.75, 6.0, 5.0, 4.0}, {0}, Rule(kVan, 400)},
      {"nll not finite", {8.7, kNan, 7}, {1}, Rule(kNon, 100)},
      {"infinite at the start", {kInf, 7, 7}, {1}, Rule(kNon, 0)},
  };
  for (const Curve& curve : curves) {
    const Judge judge = Fed(Validations(curve.nll, curve.ratios));
    EXPECT_EQ(judge.verdict().has_value(), curve.expected.diverged) << curve.name;
    if (judge.verdict() && curve.expected.diverged) {
      EXPECT_EQ(judge.verdict()->rule, curve.expected.rule) << curve.name << ": " << RuleName(judge.verdict()->rule);
      EXPECT_EQ(judge.verdict()->update, curve.expected.update) << curve.name;
    }
    EXPECT_EQ(judge.TooShort(), curve.too_short || (!curve.expected.diverged && curve.nll.size() < 5)) << curve.name;
  }
}

TEST(DivergenceTest, LossAndGradientNormThatAreNotFiniteDecideAtAnyTime) {
  for (const double bad : {kNan, kInf, -kInf}) {
    for (const bool in_loss : {true, false}) {
      auto validations = Validations({8.7, 7, 6.5}, {1});
      (in_loss ? validations[1].loss : validations[1].gradient_norm) = bad;
      const Judge judge = Fed(validations);
      ASSERT_TRUE(judge.verdict());
      EXPECT_EQ(judge.verdict()->rule, kNon);
      EXPECT_EQ(judge.verdict()->update, 100);
    }
  }
}

TEST(DivergenceTest, LaterOfWarmupAndJudgeAfterIsWhereRulesThreeAndFourBegin) {
  const std::vector<double> dead(31, 6.75);
  struct Case {
    int64_t warmup, judge_after, update;
  };
  for (const Case& c : {Case{400, 400, 400}, Case{2000, 400, 2000}, Case{10, 400, 400}, Case{10, 1000, 1000},
                        Case{10, 0, 200}, Case{450, 400, 500}}) {
    auto nll = dead;
    nll[0] = 8.7;
    const Judge judge =
        Fed(Validations(nll, {0}), {.unigram_nll = kU, .warmup = c.warmup, .judge_after = c.judge_after});
    ASSERT_TRUE(judge.verdict());
    EXPECT_EQ(judge.verdict()->update, c.update)
        << c.warmup << " " << c.judge_after;  // flat speaks at 200, five ratios are there at 400
  }
}

TEST(DivergenceTest, FirstHalfEndsAtHalfTheUpdates) {
  // At 500, updates up to 250 count: 6.75 at 200, not 6.6 at 300, so there is a gain.
  EXPECT_FALSE(Fed(Validations({8.7, 6.8, 6.75, 6.6, 6.6, 6.6}, {1})).verdict());
  // At 600 the 6.6 at 300 counts, and there is none.
  EXPECT_EQ(Fed(Validations({8.7, 6.8, 6.75, 6.6, 6.6, 6.6, 6.6}, {1})).verdict()->update, 600);
}

TEST(DivergenceTest, WorksWhateverTheIntervalOfValidations) {
  // Every 150: judged first at 450, with four ratios; five are there at 600.
  EXPECT_EQ(Fed(Validations({8.7, 7, 6.8, 6.6, 6.55, 6.5}, {0}, 150)).verdict()->update, 600);
  // Uneven.
  std::vector<Validation> uneven = Validations({8.7, 7, 6.8, 6.7, 6.6, 6.6}, {0});
  const int64_t updates[] = {0, 7, 11, 399, 401, 402};
  for (size_t i = 0; i < uneven.size(); ++i) uneven[i].update = updates[i];
  EXPECT_EQ(Fed(uneven).verdict()->update, 401);
}

TEST(DivergenceTest, ValidationsWithoutRatiosDoNotCountAmongTheFive) {
  auto validations = Validations({8.7, 7, 6.8, 6.7, 6.6, 6.55, 6.5}, {0});
  validations[2].layer_ratio.reset();
  EXPECT_EQ(Fed(validations).verdict()->update, 500);
}

TEST(DivergenceTest, ASlowLearnerIsNeverFlagged) {
  std::vector<double> nll{8.7};
  for (int i = 1; i <= 60; ++i) nll.push_back(8.7 - 0.03 * i);  // above the unigram level for 66 validations
  EXPECT_FALSE(Fed(Validations(nll, {0.9})).verdict());
}

TEST(DivergenceTest, TheVerdictCarriesItsEvidence) {
  const Judge judge = Fed(Validations({8.7, 7, 6.8, 6.75, 6.75}, {1e-6}));
  ASSERT_TRUE(judge.verdict());
  const auto& evidence = judge.verdict()->evidence;
  EXPECT_EQ(evidence.at("valid_nll"), 6.75);
  EXPECT_EQ(evidence.at("unigram_nll"), kU);
  EXPECT_DOUBLE_EQ(evidence.at("nll_threshold"), kU - 0.75);
  EXPECT_EQ(evidence.at("median_ratio"), 1e-6);
}

TEST(DivergenceTest, RatioIsZeroWhereAnEndIsZeroOrNotFinite) {
  EXPECT_EQ(LayerRatio({1, 7, 4}), 0.25);
  EXPECT_EQ(LayerRatio({3}), 1);
  EXPECT_EQ(LayerRatio({0, 4}), 0);
  EXPECT_EQ(LayerRatio({4, 0}), 0);
  EXPECT_EQ(LayerRatio({kNan, 4}), 0);
  EXPECT_EQ(LayerRatio({4, kInf}), 0);
  EXPECT_EQ(LayerRatio({1, kNan, 4}), 0.25);  // only the ends matter
  EXPECT_EQ(LayerRatio({}), std::nullopt);
}

TEST(DivergenceTest, RefusesValidationsOutOfOrder) {
  EXPECT_THROW(Fed({{.update = 50, .nll = 8}}), std::invalid_argument);
  EXPECT_THROW(Fed({{.update = 0, .nll = 8, .loss = 1, .gradient_norm = 1}, {.update = 0, .nll = 8}}),
               std::invalid_argument);
}

}  // namespace
}  // namespace strata::model
