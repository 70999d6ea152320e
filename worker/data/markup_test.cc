#include "worker/data/markup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace strata::data {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Shown(const std::vector<Block>& blocks) {
  std::vector<std::string> shown;
  for (const Block& b : blocks) shown.push_back(b.kind + (b.heading ? "*" : "") + (b.unfit ? "!" : "") + " " + b.text);
  return shown;
}

TEST(HtmlBlocksTest, AreTextWithoutMarkup) {
  EXPECT_THAT(
      Shown(HtmlBlocks("<?xml?><!DOCTYPE html><html><!-- <p>no</p> --><h1 id=\"a\">The <b>head</b></h1>\n<p>One\n"
                       "two&nbsp;&lt;3&gt; &auml;&#228;&#xe4;.</p><script>p<p>x</p></script><pre>code</pre>"
                       "<ul><li>item<br/>more <p>inner</p></li></ul>tail")),
      ElementsAre("h1* The head", "p One two <3> äää.", "li item more", "p inner", "text tail"));
}

TEST(HtmlBlocksTest, MarksWhatIsUnfit) {
  EXPECT_THAT(
      Shown(HtmlBlocks("<p>press <span id=\"x\" class=\"switchinline\">Ctrl</span></p><p class=\"code\">x = 1</p>"
                       "<p>&unknown; thing</p><p>a & b</p><p>good</p>")),
      ElementsAre("p! press Ctrl", "p! x = 1", "p! unknown; thing", "p! a b", "p good"));
}

TEST(HtmlBlocksTest, TakeWhatIsBroken) {
  for (const std::string html :
       {"", "<", "<p", "<p>", "</", "<!--", "&", "<p>&#xffffffff;", "<p>&#0;", "< >", "<p a=\"", "<//p>"}) {
    EXPECT_LE(HtmlBlocks(html).size(), 1u) << html;
  }
}

TEST(HtmlBlocksTest, KeepIds) {
  EXPECT_EQ(HtmlBlocks("<p class=\"x\" id=\"par_1\" dir=\"auto\">t</p>").at(0).id, "par_1");
}

TEST(ManBlocksTest, AreTextWithoutMacros) {
  EXPECT_THAT(Shown(ManBlocks(
                  ".\\\" comment\n.TH X 1\n.SH NAME\nfoo \\- do \\fIthings\\fP\n.SH \"THE OPTIONS\"\n.PP\nThe\n"
                  ".BR foo (1)\ncommand of\n.IR \"a b\" ,\nor \\(aqc\\(aq.\n.TP\n.B \\-a\nThe a.\n.TP\n\\-b\nThe b.\n"
                  ".nf\ncode\n.fi\n.IP \\[bu] 3\nPoint.\n.SS\nsub\n")),
              ElementsAre("SH* NAME", " foo - do things", "SH* THE OPTIONS", "PP The foo(1) command of a b, or 'c'.",
                          "TP -a", "TP-body The a.", "TP -b", "TP-body The b.", "IP Point.", "SS* sub"));
}

TEST(ManBlocksTest, MarksWhatIsUnfit) {
  EXPECT_THAT(
      Shown(ManBlocks(".PP\na \\*(xx b\n.PP\n  laid out\n.PP\n\\[unknown]\n.PP\n.UR there\nlink\n.UE\n.PP\nfine\n")),
      ElementsAre("PP! a (xx b", "PP! link", "PP fine"));
}

TEST(ManBlocksTest, TakeWhatIsBroken) {
  for (const std::string page :
       {"", ".", "'", ".B", ".B \"", ".B \\", "\\", "\\f", "\\f[", "\\(", "\\[x", ".TP", ".nf\nx", ".de X\nx"}) {
    EXPECT_LE(ManBlocks(page).size(), 1u) << page;
  }
}

std::vector<Pair> Aligned(const std::string& a, const std::string& b) {
  std::vector<Pair> pairs;
  AlignBlocks(HtmlBlocks(a), HtmlBlocks(b), &pairs);
  return pairs;
}

TEST(AlignBlocksTest, PairsSectionsOfTheSameStructureOnly) {
  const auto pairs = Aligned("<h1>A</h1><p>one</p><h1>B</h1><p>two</p><p>three</p><h1>C</h1><p>four</p>",
                             "<h1>AA</h1><p>eins</p><h1>BB</h1><p>zwei</p><li>drei</li><h1>CC</h1><p>vier</p>");
  std::vector<std::string> shown;
  for (const Pair& p : pairs) shown.push_back(p.source + "=" + p.target);
  EXPECT_THAT(shown, ElementsAre("A=AA", "one=eins", "C=CC", "four=vier"));
  EXPECT_THAT(Aligned("<h1>A</h1><p>one</p>", "<h1>AA</h1><p>eins</p><h1>B</h1>"), IsEmpty());
  EXPECT_THAT(Aligned("", ""), IsEmpty());
}

}  // namespace
}  // namespace strata::data
