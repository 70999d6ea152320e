#include "model/metrics/text_scores.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/metrics/bleu.h"
#include "model/metrics/rouge.h"

namespace strata::model {
namespace {

using ::testing::HasSubstr;

const std::vector<std::string> kHypotheses = {"the cat sat on the mat today", "a dog", "", "one two three four five"};
const std::vector<std::string> kReferences = {"the cat sat on a mat today", "the dog barks", "nothing",
                                              "one two three four"};

TEST(TextScoresTest, OfTheWholeFollowFromItsSentences) {
  const TextScores bleu = ScoreTexts("bleu", kHypotheses, kReferences);
  EXPECT_EQ(bleu.values.at("bleu"), Bleu(kHypotheses, kReferences).score);
  EXPECT_EQ(bleu.values.at("bleu_precision_4"), Bleu(kHypotheses, kReferences).precisions[3]);
  EXPECT_EQ(bleu.values.at("bleu_brevity_penalty"), Bleu(kHypotheses, kReferences).brevity_penalty);
  const TextScores rouge = ScoreTexts("rouge", kHypotheses, kReferences);
  double sum = 0;
  for (size_t i = 0; i < kHypotheses.size(); ++i) sum += Rouge(kHypotheses[i], kReferences[i]).rougeL;
  EXPECT_NEAR(rouge.values.at("rougeL"), 100 * sum / 4, 1e-12);
  const TextScores wer = ScoreTexts("wer", kHypotheses, kReferences);
  EXPECT_NEAR(wer.values.at("wer"), 100 * (1 + 2 + 1 + 1) / 15., 1e-12);
}

TEST(TextScoresTest, OfAResampleAreThoseOfTheResampledLines) {
  const std::vector<uint32_t> indices = {3, 0, 0, 1};
  std::vector<std::string> hypotheses, references;
  for (const uint32_t i : indices) {
    hypotheses.push_back(kHypotheses[i]);
    references.push_back(kReferences[i]);
  }
  for (const std::string& metric : TextMetrics()) {
    const TextScores all = ScoreTexts(metric, kHypotheses, kReferences);
    const TextScores some = ScoreTexts(metric, hypotheses, references);
    for (const std::string& value : ValuesOf(metric))
      EXPECT_NEAR(CorpusScore(value, all.rows, indices), some.values.at(value), 1e-12) << value;
  }
}

TEST(TextScoresTest, RefuseOtherMetricsAndUnequalLines) {
  const auto why = [](const std::string& metric, const std::vector<std::string>& a, const std::vector<std::string>& b) {
    try {
      ScoreTexts(metric, a, b);
    } catch (const std::invalid_argument& error) {
      return std::string(error.what());
    }
    return std::string("taken");
  };
  EXPECT_THAT(why("ter", {"a"}, {"a"}), HasSubstr("bleu, rouge, wer"));
  EXPECT_THAT(why("wer", {"a"}, {"a", "b"}), HasSubstr("1 hypotheses and 2 references"));
  EXPECT_THAT(why("rouge", {}, {}), HasSubstr("no lines"));
}

TEST(SentenceScoresTest, AreReadBackAsTheyWereWritten) {
  const double inf = std::numeric_limits<double>::infinity();
  const SentenceScores scores{
      .metric = "perplexity",
      .splits = {{"test", {{0.1 + 0.2, 3, 4}, {1e-300, 1, 1}}}, {"other", {{inf, 2, 9}, {std::nan(""), 7, 8}}}}};
  const SentenceScores read = ParseSentenceScores(ToJsonLines(scores));
  ASSERT_EQ(read.splits.size(), 2u);
  EXPECT_EQ(read.metric, "perplexity");
  EXPECT_EQ(read.splits[0].rows, scores.splits[0].rows);
  EXPECT_EQ(read.splits[1].split, "other");
  EXPECT_EQ(read.splits[1].rows[0], scores.splits[1].rows[0]);
  EXPECT_TRUE(std::isnan(read.splits[1].rows[1][0]));
}

TEST(SentenceScoresTest, WhatIsDamagedIsRefusedByItsLine) {
  const std::string whole = ToJsonLines({.metric = "wer", .splits = {{"test", {{1, 2}, {0, 4}}}}});
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {"", "Line 0"},
           {whole.substr(0, whole.size() - 6), "ends too early"},
           {whole + "[1,2]\n", "more than"},
           {"{\"format\":2}\n", "another format"},
           {"{\"format\":1,\"metric\":\"ter\",\"splits\":[]}\n", "ter"},
           {"{\"format\":1,\"metric\":\"wer\",\"splits\":[{\"split\":\"t\",\"sentences\":1}]}\n[1]\n", "another width"},
       }) {
    try {
      ParseSentenceScores(text);
      ADD_FAILURE() << "taken: " << text;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why)) << text;
    }
  }
}

}  // namespace
}  // namespace strata::model
