// BLEU against the real sacreBLEU, to 1e-9, on thousands of real lines and on nasty ones.
#include "model/metrics/bleu.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "model/data/file.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"

namespace strata::model {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

struct Corpus {
  std::vector<std::string> hypotheses, references;
};

// The folder of a Python environment with sacreBLEU; empty and a reason if there is no way to it.
std::string Environment(std::string* why_not) {
  const auto result =
      data::RunProcess({STRATA_SOURCE_DIR "/tests/python_environment", "sacrebleu", "sacrebleu==2.6.0"});
  *why_not = result.errors;
  return result.status == 0 ? result.output.substr(0, result.output.find('\n')) : "";
}

void ExpectEqual(const std::vector<Corpus>& corpora) {
  std::string why_not;
  const std::string environment = Environment(&why_not);
  if (environment.empty()) GTEST_SKIP() << why_not;
  std::string folder = (fs::temp_directory_path() / "strata-bleu-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  json in = json::array();
  for (const Corpus& c : corpora) in.push_back({{"hypotheses", c.hypotheses}, {"references", c.references}});
  std::ofstream(folder + "/in.json") << in;
  const auto result =
      data::RunProcess({environment + "/bin/python", STRATA_SOURCE_DIR "/tests/metrics/sacrebleu_scores.py",
                        folder + "/in.json", folder + "/out.json"});
  ASSERT_EQ(result.status, 0) << result.errors;
  const json out = json::parse(ReadFile(folder + "/out.json"));
  fs::remove_all(folder);
  ASSERT_EQ(out.size(), corpora.size());
  for (size_t i = 0; i < corpora.size(); ++i) {
    SCOPED_TRACE(json(corpora[i].hypotheses[0]).dump() + " / " + json(corpora[i].references[0]).dump());
    const BleuScore score = Bleu(corpora[i].hypotheses, corpora[i].references);
    ASSERT_NEAR(score.score, out[i]["score"].get<double>(), 1e-9);
    ASSERT_NEAR(score.brevity_penalty, out[i]["brevity_penalty"].get<double>(), 1e-12);
    ASSERT_EQ(score.hypothesis_length, out[i]["hypothesis_length"].get<int64_t>());
    ASSERT_EQ(score.reference_length, out[i]["reference_length"].get<int64_t>());
    for (int n = 0; n < kBleuOrder; ++n) ASSERT_NEAR(score.precisions[n], out[i]["precisions"][n].get<double>(), 1e-9);
    ASSERT_EQ(Tokenize13a(WithoutTrailingSpace(corpora[i].hypotheses[0])), out[i]["tokens"].get<std::string>());
    ASSERT_EQ(std::string(kBleuSignature) + "|version:2.6.0", out[i]["signature"].get<std::string>());
  }
}

// A line with some of its words dropped, doubled or swapped: what a middling model might write.
std::string Garbled(const std::string& line, std::mt19937* random) {
  std::vector<std::string> words;
  for (const std::string_view word : SplitAtSpaces(line)) {
    const unsigned draw = (*random)() % 20;
    if (draw == 0) continue;
    words.emplace_back(word);
    if (draw == 1) words.emplace_back(word);
    if (draw <= 4 && words.size() > 1) std::swap(words.back(), words[words.size() - 2]);
  }
  std::string garbled;
  for (const std::string& word : words) garbled += (garbled.empty() ? "" : " ") + word;
  return garbled;
}

TEST(BleuAgainstSacreBleuTest, OnRealLines) {
  const fs::path text = fs::path(STRATA_BINARY_DIR) / "tests" / "debian-en-de";
  if (!fs::exists(text)) {
    const auto fetched =
        data::RunProcess({STRATA_BINARY_DIR "/worker/strata-data", "fetch", "debian-en-de", "--output", text.string()});
    if (fetched.status != 0) GTEST_SKIP() << "no real lines: " << fetched.errors;
  }
  std::mt19937 random(1);
  std::vector<Corpus> corpora;
  for (const char* name : {"test.en", "test.de", "valid.de", "train.de"}) {
    Corpus whole;
    const std::string file = ReadFile(text / name);
    for (const std::string_view line : Lines(file)) {
      whole.references.emplace_back(line);
      whole.hypotheses.push_back(Garbled(whole.references.back(), &random));
      if (whole.references.size() == 8000) break;
    }
    for (size_t i = 0; i < 500; ++i) corpora.push_back({{whole.hypotheses[i]}, {whole.references[i]}});
    corpora.push_back(std::move(whole));
  }
  ExpectEqual(corpora);
}

TEST(BleuAgainstSacreBleuTest, OnNastyLines) {
  const std::vector<std::string> fragments = {
      "a",         "b",      "the",    "Straße", "é",     "1",    "23",     ".",        ",",      "-",
      "--",        "..",     "1.5",    "1,000",  "-1",    "x-y",  " ",      " ",        " ",      "  ",
      "\t",        "\r",     "\v",     "\x1c",   "\x1f",  "\x7f", "\u0085", "\u00a0",   "\u2009", "\u2028",
      "\u3000",    "\u200b", "\ufeff", "&quot;", "&amp;", "&lt;", "&gt;",   "&amp;lt;", "&",      ";",
      "<skipped>", "<skip",  "ped>",   "<",      ">",     "\"",   "'",      "(",        ")",      "[",
      "]",         "{",      "}",      "`",      "~",     "^",    "\\",     "/",        ":",      "!",
      "?",         "@",      "#",      "$",      "%",     "*",    "+",      "=",        "|",      "_",
      "…",         "»",      "«",      "—",      "٣",     "٠",    "日本",   "語",       "👍",      "👍🏽",
      "e\u0301",   "\u1680", "\u180e", "ﬁ",      "Ⅷ",     "²"};
  std::mt19937 random(2);
  const auto line = [&] {
    std::string text;
    for (unsigned n = random() % 25; n > 0; --n) text += fragments[random() % fragments.size()];
    return text;
  };
  std::vector<Corpus> corpora;
  for (int i = 0; i < 6000; ++i) {
    Corpus corpus;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      corpus.references.push_back(line());
      corpus.hypotheses.push_back(random() % 3 == 0 ? line() : Garbled(corpus.references.back() + line(), &random));
      if (random() % 2 == 0) corpus.hypotheses.back() = corpus.references.back() + line();
    }
    corpora.push_back(std::move(corpus));
  }
  ExpectEqual(corpora);
}

}  // namespace
}  // namespace strata::model
