// BLEU against the real sacreBLEU, to 1e-9, on thousands of real lines and on nasty ones.
#include "model/metrics/bleu.h"

#include <gtest/gtest.h>

#include "model/metrics/text.h"
#include "tests/metrics/corpora.h"

namespace strata::model::testing {
namespace {

using nlohmann::json;

void ExpectEqual(const std::vector<Corpus>& corpora) {
  std::string why_not;
  const json out = RunTool("sacrebleu_scores.py", "sacrebleu", {"sacrebleu==2.6.0"}, corpora, &why_not);
  if (out.is_null()) GTEST_SKIP() << why_not;
  for (size_t i = 0; i < corpora.size(); ++i) {
    SCOPED_TRACE(json(corpora[i].hypotheses[0]).dump() + " / " + json(corpora[i].references[0]).dump());
    const BleuScore score = Bleu(corpora[i].hypotheses, corpora[i].references);
    ASSERT_NEAR(score.score, out[i]["score"].get<double>(), 1e-9);
    ASSERT_NEAR(score.brevity_penalty, out[i]["brevity_penalty"].get<double>(), 1e-12);
    ASSERT_EQ(score.hypothesis_length, out[i]["hypothesis_length"].get<int64_t>());
    ASSERT_EQ(score.reference_length, out[i]["reference_length"].get<int64_t>());
    for (int n = 0; n < kBleuOrder; ++n) ASSERT_NEAR(score.precisions[n], out[i]["precisions"][n].get<double>(), 1e-9);
    ASSERT_EQ(Tokenize13a(WithoutTrailingSpace(corpora[i].hypotheses[0])), out[i]["tokens"].get<std::string>());
    ASSERT_EQ(BleuSignature(), out[i]["signature"].get<std::string>());
  }
}

TEST(BleuAgainstSacreBleuTest, OnRealLines) {
  std::string why_not;
  const std::vector<Corpus> corpora = RealCorpora(&why_not);
  if (corpora.empty()) GTEST_SKIP() << why_not;
  ExpectEqual(corpora);
}

TEST(BleuAgainstSacreBleuTest, OnNastyLines) { ExpectEqual(NastyCorpora()); }

}  // namespace
}  // namespace strata::model::testing
