#include "worker/data/running_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "worker/data/sources.h"

namespace strata::data {
namespace {

using ::testing::ElementsAre;

TEST(TokenisedTest, PartsPunctuationFromWords) {
  for (const auto& [text, tokens] :
       std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                        {"\"So,\" he said.", "\" So , \" he said ."},
                                                        {"e.g. the U.S. of J. Doe", "e.g. the U.S. of J. Doe"},
                                                        {"  (the dog's  bone)!? ", "( the dog 's bone ) ! ?"},
                                                        {"well-known 3.14, x.y", "well-known 3.14 , x.y"},
                                                        {"...", "..."},
                                                        {"= Heading =", "= Heading ="}}) {
    EXPECT_EQ(Tokenised(text), tokens) << text;
  }
}

TEST(PodTest, TakesParagraphsAndHeadingsWithoutCodes) {
  EXPECT_THAT(
      PodParagraphs("=head1 The C<print> function\n\nIt prints I<a\nlist>; see L<perlop|the operators>,\n"
                    "C<< a->b >> and L<perlvar>.X<print>\n\n  print 1;\n\n=over 4\n\n=item B<x>\n\nAn item.\n\n"
                    "=cut\n\nsub code;\n\n=pod\n\nMore.\n"),
      ElementsAre("= The print function =", "It prints a list; see perlop, a->b and perlvar.", "An item.", "More."));
}

TEST(DictionaryTest, TakesEntriesWithoutMarks) {
  const auto entries = DictionaryEntries(
      "00-database-info\n   About.\n\nBenefit \\Ben\"e*fit\\, n. [OE. benefet, fr. L. {Fact}.]\n   1. An act of "
      "{kindness}.\n"
      "      [1913 Webster]\n\n   2. Profit \xff.\n\n   <law> Gain.\n\nBengal\n\n   A region.\n",
      "gcide");
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].name, "gcide/Benefit");
  EXPECT_THAT(entries[0].paragraphs, ElementsAre("Benefit , n. 1. An act of kindness.", "Gain."));
  EXPECT_EQ(entries[1].name, "gcide/Bengal");
}

TEST(HoldOutTextTest, KeepsDocumentsTogetherAndLeaksNoParagraph) {
  std::vector<TextDocument> documents;
  for (int i = 0; i < 1000; ++i) {
    const std::string number = std::to_string(i);
    documents.push_back({"document " + number,
                         {"= Title =", "This is the text of document " + number + ".", "too short",
                          "What stands in every one of them."}});
  }
  const SplitLinesOfText split = HoldOutText(documents);
  EXPECT_GT(split.test.size(), 20u);
  EXPECT_GT(split.valid.size(), 20u);
  EXPECT_GT(split.train.size(), 2500u);
  EXPECT_EQ(split.dropped.at("short"), 1000u);
  EXPECT_EQ(split.dropped.at("double"), 999u);
  std::set<std::string> seen;
  for (const auto* lines : {&split.test, &split.valid, &split.train}) {
    for (const std::string& line : *lines) {
      EXPECT_TRUE(line.empty() || line == "= Title =" || seen.insert(line).second) << line;
    }
  }
  EXPECT_EQ(split.train.back(), "");
  EXPECT_EQ(HoldOutText(documents).test, split.test);
}

TEST(HoldOutTextTest, OfFewDocumentsHoldsOutAsManyAsAsked) {
  std::vector<TextDocument> documents;
  for (int i = 0; i < 20; ++i) {
    documents.push_back({std::to_string(i), {"This is the text of document " + std::to_string(i) + "."}});
  }
  HoldOutOfFew(3, &documents);
  const SplitLinesOfText split = HoldOutText(documents);
  EXPECT_EQ(split.test.size(), 6u);  // with an empty line behind each
  EXPECT_EQ(split.valid.size(), 6u);
  EXPECT_EQ(split.train.size(), 28u);
  std::reverse(documents.begin(), documents.end());
  HoldOutOfFew(3, &documents);
  EXPECT_THAT(HoldOutText(documents).test, ::testing::UnorderedElementsAreArray(split.test));
}

TEST(HeadlineTest, PairsADescriptionWithItsSynopsis) {
  const auto documents = HeadlinesOfDescriptions(
      "Package: dog-tools\nSource: dog\nDescription-md5: 1\n\nPackage: dog-doc\nSource: dog\nDescription-md5: 2\n",
      "Package: dog-tools\nDescription-md5: 1\nDescription-en: tools for dogs\n They wag\n the tail. With:\n  - a "
      "ball\n .\n Bye.\n\n"
      "Package: dog-doc\nDescription-md5: 2\nDescription-en: documentation of dogs\n Read it.\n");
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_EQ(documents[0].name, "headlines/dog");
  ASSERT_EQ(documents[0].pairs.size(), 2u);
  EXPECT_EQ(documents[0].pairs[0].source, "They wag the tail. With: a ball Bye. ");
  EXPECT_EQ(documents[0].pairs[0].target, "tools for dogs");
}

TEST(HeadlineTest, MayBeMuchShorterThanItsText) {
  const std::string text =
      "a long text of many words that goes on and on and says a lot about dogs and about nothing else";
  std::vector<Document> documents(200);
  for (size_t i = 0; i < documents.size(); ++i) {
    documents[i] = {std::to_string(i), {{text + std::to_string(i), "dog " + std::to_string(i)}}};
  }
  EXPECT_EQ(HoldOut(documents).dropped.at("uneven lengths"), 200u);
  const SplitPairs splits = HoldOut(documents, PairKind::kHeadline);
  EXPECT_EQ(splits.train.size() + splits.valid.size() + splits.test.size(), 200u);
}

}  // namespace
}  // namespace strata::data
