#include "tests/metrics/corpora.h"


#include <filesystem>
#include <fstream>
#include <random>

#include "model/data/file.h"
#include "model/metrics/text.h"
#include "worker/data/process.h"

namespace strata::model::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

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

}  // namespace

std::vector<Corpus> RealCorpora(std::string* why_not) {
  const fs::path text = fs::path(STRATA_BINARY_DIR) / "tests" / "debian-en-de";
  if (!fs::exists(text)) {
    const auto fetched =
        data::RunProcess({STRATA_BINARY_DIR "/worker/strata-data", "fetch", "debian-en-de", "--output", text.string()});
    *why_not = "no real lines: " + fetched.errors;
    if (fetched.status != 0) return {};
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
  return corpora;
}

std::vector<Corpus> NastyCorpora() {
  const std::vector<std::string> fragments = {
      "a",         "b",      "the",    "Straße", "é",     "1",    "23",     ".",        ",",      "-",
      "--",        "..",     "1.5",    "1,000",  "-1",    "x-y",  " ",      " ",        " ",      "  ",
      "\t",        "\r",     "\v",     "\x1c",   "\x1f",  "\x7f", "\u0085", "\u00a0",   "\u2009", "\u2028",
      "\u3000",    "\u200b", "\ufeff", "&quot;", "&amp;", "&lt;", "&gt;",   "&amp;lt;", "&",      ";",
      "<skipped>", "<skip",  "ped>",   "<",      ">",     "\"",   "'",      "(",        ")",      "[",
      "]",         "{",      "}",      "`",      "~",     "^",    "\\",     "/",        ":",      "!",
      "?",         "@",      "#",      "$",      "%",     "*",    "+",      "=",        "|",      "_",
      "…",         "»",      "«",      "—",      "٣",     "٠",    "日本",   "語",       "👍",      "👍🏽",
      "e\u0301",   "\u1680", "\u180e", "ﬁ",      "Ⅷ",     "²",    "İ",      "\u212a",   "K",      "THE",
      "The",       "Ａ",     "ǅ",      "0x1F",   "don't", "naïve"};
  std::mt19937 random(2);
  const auto line = [&] {
    std::string text;
    for (unsigned n = random() % 25; n > 0; --n) text += fragments[random() % fragments.size()];
    return text;
  };
  std::vector<Corpus> corpora = {
      {{""}, {""}}, {{"a b"}, {""}}, {{""}, {"a b"}}, {{"a"}, {"a"}}, {{"", ""}, {" ", "\t"}}};
  while (corpora.size() < 6000) {
    Corpus corpus;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      corpus.references.push_back(line());
      corpus.hypotheses.push_back(random() % 3 == 0 ? line() : Garbled(corpus.references.back() + line(), &random));
      if (random() % 2 == 0) corpus.hypotheses.back() = corpus.references.back() + line();
    }
    corpora.push_back(std::move(corpus));
  }
  return corpora;
}

json RunTool(const std::string& script, const std::string& environment, const std::vector<std::string>& packages,
             const std::vector<Corpus>& corpora, std::string* why_not) {
  std::vector<std::string> make = {STRATA_SOURCE_DIR "/tests/python_environment", environment};
  make.insert(make.end(), packages.begin(), packages.end());
  const auto made = data::RunProcess(make);
  *why_not = made.errors;
  if (made.status != 0) return nullptr;
  std::string folder = (fs::temp_directory_path() / "strata-metrics-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no temporary folder can be made");
  json in = json::array();
  for (const Corpus& c : corpora) in.push_back({{"hypotheses", c.hypotheses}, {"references", c.references}});
  std::ofstream(folder + "/in.json") << in;
  const auto result =
      data::RunProcess({made.output.substr(0, made.output.find('\n')) + "/bin/python",
                        STRATA_SOURCE_DIR "/tests/metrics/" + script, folder + "/in.json", folder + "/out.json"});
  if (result.status != 0) throw std::runtime_error(script + ": " + result.errors);
  json out = json::parse(ReadFile(folder + "/out.json"));
  fs::remove_all(folder);
  if (out.size() != corpora.size()) throw std::runtime_error(script + " gives another number of results");
  return out;
}

}  // namespace strata::model::testing
