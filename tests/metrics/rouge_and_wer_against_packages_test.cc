// ROUGE against the real rouge-score and WER against the real jiwer, to 1e-9, on thousands of real lines and on nasty
// ones.
#include <gtest/gtest.h>

#include "model/metrics/rouge.h"
#include "model/metrics/text_scores.h"
#include "model/metrics/wer.h"
#include "tests/metrics/corpora.h"

namespace strata::model::testing {
namespace {

using nlohmann::json;

void ExpectEqual(const std::vector<Corpus>& corpora) {
  std::string why_not;
  const json out =
      RunTool("standard_scores.py", "rouge_and_jiwer", {"rouge-score==0.1.2", "jiwer==4.0.0"}, corpora, &why_not);
  if (out.is_null()) GTEST_SKIP() << why_not;
  for (size_t i = 0; i < corpora.size(); ++i) {
    const auto& [hypotheses, references] = corpora[i];
    SCOPED_TRACE(json(hypotheses[0]).dump() + " / " + json(references[0]).dump());
    ASSERT_EQ(json(RougeTokens(hypotheses[0])), out[i]["rouge_tokens"]);
    ASSERT_EQ(json(WerWords(hypotheses[0])), out[i]["wer_words"]);
    auto values = ScoreTexts("rouge", hypotheses, references).values;
    values.merge(ScoreTexts("wer", hypotheses, references).values);
    ASSERT_EQ(values.size(), 4u);
    for (const auto& [name, value] : values) ASSERT_NEAR(value, out[i][name].get<double>(), 1e-9) << name;
  }
}

TEST(RougeAndWerAgainstPackagesTest, OnRealLines) {
  std::string why_not;
  const std::vector<Corpus> corpora = RealCorpora(&why_not);
  if (corpora.empty()) GTEST_SKIP() << why_not;
  ExpectEqual(corpora);
}

TEST(RougeAndWerAgainstPackagesTest, OnNastyLines) { ExpectEqual(NastyCorpora()); }

}  // namespace
}  // namespace strata::model::testing
