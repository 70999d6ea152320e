// The importers of text, each on a miniature of its corpus' own layout that the test writes, on to a dataset.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "model/data/file.h"
#include "model/data/manifest.h"
#include "worker/data/process.h"

namespace strata::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
namespace fs = std::filesystem;

class ImportTest : public ::testing::Test {
 protected:
  ImportTest() {
    std::string name = (fs::temp_directory_path() / "strata-import-XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~ImportTest() override { fs::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    fs::create_directories((folder_ / "corpus" / name).parent_path());
    std::ofstream(folder_ / "corpus" / name, std::ios::binary) << text;
  }
  ProcessResult Run(std::vector<std::string> words) const {
    words.insert(words.begin(), STRATA_BINARY_DIR "/worker/strata-data");
    return RunProcess(words);
  }
  ProcessResult Import(const std::string& importer, std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"import", importer, folder_ / "corpus", "--output", folder_ / "text"};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  // Makes a dataset of what was imported.
  model::Manifest Prepare(std::vector<std::string> more) const {
    std::vector<std::string> words = {"prepare", "--input", folder_ / "text", "--output", folder_ / "dataset",
                                      "--name",  "mini"};
    words.insert(words.end(), more.begin(), more.end());
    const ProcessResult result = Run(words);
    EXPECT_EQ(result.status, 0) << result.errors;
    return result.status == 0 ? model::ReadManifest(folder_ / "dataset") : model::Manifest{};
  }
  std::string Text(const std::string& name) const { return model::ReadFile(folder_ / "text" / name); }
  static std::vector<std::string> Names(const model::Manifest& manifest) {
    std::vector<std::string> names;
    for (const auto& [name, split] : manifest.splits) names.push_back(name);
    return names;
  }

  // Seven newstests: plain ones, and two as WMT's SGML, one of them named with its pair.
  void WriteWmt() const {
    Write("train.en", "The house is small.\nThe dog sleeps.\nA house for a dog.\n");
    Write("train.de", "Das Haus ist klein.\nDer Hund schläft.\nEin Haus für einen Hund.\n");
    for (const std::string year : {"2010", "2011", "2012", "2013", "2016"}) {
      Write("dev/newstest" + year + ".en", "House " + year + ".\n");
      Write("dev/newstest" + year + ".de", "Haus " + year + ".\n");
    }
    const std::string head =
        "<srcset setid=\"x\" srclang=\"any\">\n<doc sysid=\"ref\" docid=\"a\" genre=\"news\">\n<hl>\n";
    const std::string ref =
        "<refset setid=\"x\" trglang=\"de\">\n<doc docid=\"b\">\n<seg id=\"1\">Drei &lt; vier</seg>\n</doc>\n"
        "<doc docid=\"a\">\n<seg id=\"1\">Eins &amp; zwei</seg>\n<seg id=\"2\"> Zwei </seg>\n</doc>\n";
    const std::string src = head +
                            "<seg id=\"1\">One &amp; two</seg>\n</hl>\n<p>\n<seg id=\"2\">Two</seg>\n</p>\n</doc>\n" +
                            "<doc docid=\"b\"><seg id=\"1\">Three &lt;\n four</seg></doc>\n</srcset>\n";
    Write("dev/newstest2014-deen-src.en.sgm", src);
    Write("dev/newstest2014-deen-ref.de.sgm", ref);
    Write("test/newstest2015-src.en.sgm", src);
    Write("test/newstest2015-ref.de.sgm", ref);
  }

  fs::path folder_;
};

TEST_F(ImportTest, WmtTakesPlainTextAndSgmlOn) {
  WriteWmt();
  const ProcessResult result = Import("wmt");
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_THAT(result.output, HasSubstr("train.en: 3 lines"));
  EXPECT_EQ(Text("train.de"), model::ReadFile(folder_ / "corpus/train.de"));
  EXPECT_EQ(Text("valid.en"), "House 2013.\n");
  EXPECT_EQ(Text("newstest2014.en"), "One & two\nTwo\nThree < four\n");
  EXPECT_EQ(Text("newstest2014.de"), "Eins & zwei\nZwei\nDrei < vier\n");
  EXPECT_EQ(Text("newstest2015.de"), Text("newstest2014.de"));
  const model::Manifest m = Prepare({"--vocabulary", "50"});
  EXPECT_EQ(m.task, "translation");
  EXPECT_EQ(m.target_language, "de");
  EXPECT_THAT(Names(m), ElementsAre("newstest2010", "newstest2011", "newstest2012", "newstest2013", "newstest2014",
                                    "newstest2015", "newstest2016", "train", "valid"));
  EXPECT_EQ(model::ReadFile(folder_ / "dataset" / m.Split("newstest2014").target_text), Text("newstest2014.de"));
  EXPECT_THAT(m.provenance_json, HasSubstr("newstest2014-deen-ref.de.sgm"));
}

TEST_F(ImportTest, WmtTakesOtherNames) {
  Write("corpus.clean.fr", "un\n");
  Write("corpus.clean.en", "one\n");
  Write("dev.fr", "deux\n");
  Write("dev.en", "two\n");
  ASSERT_EQ(Import("wmt", {"--train", "corpus.clean", "--source-language", "fr", "--target-language", "en", "--valid",
                           "dev", "--tests", "dev"})
                .status,
            0);
  EXPECT_EQ(Text("valid.fr"), "deux\n");
  EXPECT_EQ(Text("dev.en"), "two\n");
}

TEST_F(ImportTest, WmtSaysWhatIsMissingOrUneven) {
  WriteWmt();
  const auto error = [&] { return Import("wmt").errors; };
  Write("test/newstest2015-ref.de.sgm", "<doc docid=\"a\"><seg id=\"1\">Eins</seg></doc>");
  EXPECT_THAT(error(), HasSubstr("newstest2015-src.en.sgm has segment 'a 2', which "));
  Write("dev/newstest2012.de", "Haus.\nHaus.\n");
  EXPECT_THAT(error(), HasSubstr("newstest2012.en has 1 lines, "));
  fs::remove(folder_ / "corpus/dev/newstest2011.de");
  EXPECT_THAT(error(), HasSubstr("newstest2011.en stands without its other language"));
  fs::remove(folder_ / "corpus/dev/newstest2011.en");
  EXPECT_THAT(error(), HasSubstr("There is no newstest2011 in "));
  Write("train.de", "Das Haus\nDer \xff\n\n");
  EXPECT_THAT(error(), HasSubstr("train.de:2: not valid UTF-8 at byte 5"));
  fs::remove(folder_ / "corpus/train.de");
  EXPECT_THAT(error(), HasSubstr("looked for train.de"));
  EXPECT_FALSE(fs::exists(folder_ / "text"));
}

TEST_F(ImportTest, GigawordTakesHeadlinesAndASecondPart) {
  Write("train/train.article.txt", "the dog slept in the house on sunday .\na house was sold for # dollars .\n");
  Write("train/train.title.txt", "dog sleeps\nhouse sold\n");
  Write("train/valid.article.filter.txt", "the dog woke up .\n");
  Write("train/valid.title.filter.txt", "dog awake\n");
  Write("Giga/input.txt", "the UNK was sold .\n");
  Write("Giga/task1_ref0.txt", "dog sold\n");
  Write("more/news.article.txt", "the dog ran on monday .\n");
  Write("more/news.title.txt", "dog runs\n");
  const ProcessResult result = Import("gigaword", {"--extra", folder_ / "corpus/more/news"});
  ASSERT_EQ(result.status, 0) << result.errors;
  EXPECT_EQ(Text("train.target"), "dog sleeps\nhouse sold\ndog runs\n");
  const model::Manifest m = Prepare({"--vocabulary", "45"});
  EXPECT_EQ(m.task, "headline");
  EXPECT_EQ(m.Split("train").sentences, 3u);
  EXPECT_EQ(model::ReadFile(folder_ / "dataset" / m.Split("test").target_text), "dog sold\n");
  EXPECT_THAT(m.provenance_json, HasSubstr("\"part\":\"news\""));

  Write("more/news.title.txt", "dog runs\nand runs\n");
  const std::vector<std::string> again = {"--extra", folder_ / "corpus/more/news", "--force"};
  EXPECT_THAT(Import("gigaword", again).errors, HasSubstr("news.article.txt has 1 lines, "));
  fs::remove(folder_ / "corpus/Giga/input.txt");
  EXPECT_THAT(Import("gigaword", again).errors, HasSubstr("There is no test articles in "));
}

TEST_F(ImportTest, WikiTextKeepsItsLinesAsTheyAre) {
  const std::string train = " \n = Robert <unk> = \n \n Robert is an actor , born in 1 @.@ 5 . \n Robert acts . \n";
  Write("wiki.train.tokens", train);
  Write("wiki.valid.tokens", " \n = Actor = \n \n An actor acts . \n");
  Write("wiki.test.tokens", " \n = Film = \n \n Robert <unk> . \n \n");
  ASSERT_EQ(Import("wikitext-103").status, 0);
  EXPECT_EQ(Text("train.text"), train);
  const model::Manifest m = Prepare({"--vocabulary-kind", "words"});
  EXPECT_EQ(m.task, "language_model");
  EXPECT_EQ(m.vocabulary_kind, "words");
  EXPECT_EQ(m.Split("test").lines, 5u);
  EXPECT_EQ(m.Split("test").words, 6u);
  const auto shards = model::OpenSplit(folder_ / "dataset", m, "test");
  EXPECT_EQ(shards.at(0).streams(), 1);
  EXPECT_TRUE(shards[0].Sentence(0, 0).empty());
  EXPECT_EQ(model::Detokenise(shards[0].pieces(), shards[0].Sentence(0, 3)), "Robert \u2047 .");
  EXPECT_EQ(model::ReadFile(folder_ / "dataset" / m.Split("test").target_text), Text("test.text"));
  fs::remove(folder_ / "corpus/wiki.test.tokens");
  EXPECT_THAT(Import("wikitext-103", {"--force"}).errors, HasSubstr("looked for wiki.test.tokens"));
}

TEST_F(ImportTest, ImportsTheSameBytesEachTime) {
  WriteWmt();
  ASSERT_EQ(Import("wmt").status, 0);
  const std::string first = Text("provenance.json") + Text("newstest2014.de");
  ASSERT_EQ(Import("wmt", {"--force"}).status, 0);
  EXPECT_EQ(Text("provenance.json") + Text("newstest2014.de"), first);
}

}  // namespace
}  // namespace strata::data
