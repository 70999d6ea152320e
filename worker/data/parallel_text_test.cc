#include "worker/data/parallel_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "worker/data/sources.h"
#include "worker/data/stanzas.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using ::testing::ElementsAre;

MATCHER_P2(IsPair, source, target, "") { return arg.source == source && arg.target == target; }

TEST(StanzasTest, AreReadFieldByField) {
  const auto stanzas = ReadStanzas("A: 1\nB:  two\n more\n .\n\n\nC:\n x\n");
  ASSERT_EQ(stanzas.size(), 2u);
  EXPECT_EQ(stanzas[0].at("B"), "two\nmore\n.");
  EXPECT_EQ(stanzas[1].at("C"), "\nx");
}

TEST(SentencesTest, EndWherePeopleEndThem) {
  EXPECT_THAT(Sentences("One here. Two there! 3 more? (Last one.) End"),
              ElementsAre("One here.", "Two there!", "3 more?", "(Last one.)", "End"));
  EXPECT_THAT(Sentences("Das ist z. B. Das hier, d. h. Nr. 5 usw. Und so."),
              ElementsAre("Das ist z. B. Das hier, d. h. Nr. 5 usw. Und so."));
  EXPECT_THAT(Sentences("See e.g. Perl.  Version 1.5 is out..."),
              ElementsAre("See e.g. Perl.", "Version 1.5 is out..."));
  EXPECT_THAT(Sentences("Es geht. Über allem. so nicht"), ElementsAre("Es geht.", "Über allem. so nicht"));
  EXPECT_TRUE(Sentences(" ").empty());
}

TEST(AddParagraphTest, KeepsAParagraphWholeWhenSentencesDoNotMatch) {
  std::vector<Pair> pairs;
  AddParagraph("One. Two.", "Eins. Zwei.", &pairs);
  AddParagraph("One.  Two.", "Eins und zwei.", &pairs);
  EXPECT_THAT(pairs,
              ElementsAre(IsPair("One.", "Eins."), IsPair("Two.", "Zwei."), IsPair("One. Two.", "Eins und zwei.")));
}

TEST(HoldOutTest, DropsWhatIsNoPair) {
  const SplitPairs splits = HoldOut({{"d",
                                      {{"good one", "ein guter"},
                                       {" good \t one ", "ein guter"},
                                       {"", "leer"},
                                       {"same", "same"},
                                       {"123", "456"},
                                       {"bell \x07", "Glocke"},
                                       {"here", "<trans>"},
                                       {"short", "eine wirklich sehr viel längere Zeile als die andere"}}}});
  EXPECT_EQ(splits.train.size() + splits.valid.size() + splits.test.size(), 1u);
  EXPECT_EQ(splits.dropped.at("double"), 1u);
  EXPECT_EQ(splits.dropped.at("empty"), 1u);
  EXPECT_EQ(splits.dropped.at("untranslated"), 2u);
  EXPECT_EQ(splits.dropped.at("no letters"), 1u);
  EXPECT_EQ(splits.dropped.at("control characters"), 1u);
  EXPECT_EQ(splits.dropped.at("uneven lengths"), 1u);
}

std::vector<Document> ManyDocuments() {
  std::vector<Document> documents;
  for (int d = 0; d < 2000; ++d) {
    Document document{"doc" + std::to_string(d), {}};
    for (int i = 0; i < 4; ++i) {
      const std::string n = std::to_string((d * 7 + i * 13) % 5000);
      document.pairs.push_back({"source number " + n, "Quelle Nummer " + n});
    }
    document.pairs.push_back({"Boilerplate " + std::to_string(d % 50) + ".", "Floskel " + std::to_string(d)});
    document.pairs.push_back(
        {"boilerplate of number " + std::to_string(d), "Wiederholung Nr. " + std::to_string(d % 50)});
    documents.push_back(document);
  }
  return documents;
}

TEST(HoldOutTest, LeaksNoSideOfAHeldOutPair) {
  const SplitPairs splits = HoldOut(ManyDocuments());
  ASSERT_GT(splits.train.size(), 1000u);
  ASSERT_GT(splits.valid.size(), 50u);
  ASSERT_GT(splits.test.size(), 50u);
  const auto expect_disjoint = [](const std::vector<Pair>& a, const std::vector<Pair>& b) {
    std::set<std::string> sources, targets;
    for (const Pair& p : a) {
      sources.insert(p.source);
      targets.insert(p.target);
    }
    for (const Pair& p : b) EXPECT_FALSE(sources.contains(p.source) || targets.contains(p.target)) << p.source;
  };
  expect_disjoint(splits.train, splits.valid);
  expect_disjoint(splits.train, splits.test);
  expect_disjoint(splits.valid, splits.test);
}

TEST(HoldOutTest, HoldsWholeDocumentsOutWhateverElseThereIs) {
  std::vector<Document> documents = ManyDocuments();
  const SplitPairs all = HoldOut(documents);
  documents.resize(1000);
  std::set<std::string> test_sources;
  for (const Pair& p : all.test) test_sources.insert(p.source);
  for (const Pair& p : HoldOut(documents).test) EXPECT_TRUE(test_sources.contains(p.source)) << p.source;
}

TEST(DescriptionsTest, AreAlignedByHashAndParagraph) {
  const auto documents = AlignDescriptions(
      "Package: foo-bin\nSource: foo-12 (1.0)\nDescription-md5: m1\n\n"
      "Package: foo-dev\nSource: foo-13\nDescription-md5: m2\n\n"
      "Package: baz\nDescription-md5: m3\n",
      "Package: foo-bin\nDescription-md5: m1\nDescription-en: tool for foo\n First line\n goes on. Second.\n .\n"
      " Points:\n  - one\n    more of it\n  - two\n\n"
      "Package: foo-dev\nDescription-md5: m2\nDescription-en: foo files\n One.\n .\n Two.\n\n"
      "Package: baz\nDescription-md5: m3\nDescription-en: baz\n",
      "Package: foo-bin\nDescription-md5: m1\nDescription-de: Werkzeug für foo\n Erste Zeile geht\n weiter. Zweite.\n "
      ".\n"
      " Punkte:\n  - eins\n    mehr davon\n  - zwei\n\n"
      "Package: foo-dev\nDescription-md5: m2\nDescription-de: foo-Dateien\n Eins und zwei.\n\n"
      "Package: gone\nDescription-md5: m9\nDescription-de: fort\n");
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].name, "descriptions/foo");
  EXPECT_THAT(documents[0].pairs,
              ElementsAre(IsPair("tool for foo", "Werkzeug für foo"),
                          IsPair("First line goes on.", "Erste Zeile geht weiter."), IsPair("Second.", "Zweite."),
                          IsPair("Points:", "Punkte:"), IsPair("one more of it", "eins mehr davon"),
                          IsPair("two", "zwei"), IsPair("foo files", "foo-Dateien")));
}

TEST(Utf8Test, FindsWhereTextIsNoUtf8) {
  for (const auto& [text, at] : std::vector<std::pair<std::string, size_t>>{{"", std::string::npos},
                                                                            {"aé日👍", std::string::npos},
                                                                            {"a\xff", 1},
                                                                            {"é\xc3", 2},
                                                                            {"\x80", 0},
                                                                            {"\xc0\x80", 0},
                                                                            {"ab\xed\xa0\x80", 2},
                                                                            {"\xf4\x90\x80\x80", 0},
                                                                            {"\xe2\x82", 0},
                                                                            {"x\xf0\x9f\x91", 1}}) {
    EXPECT_EQ(InvalidUtf8At(text), at) << text;
  }
}

}  // namespace
}  // namespace strata::data
