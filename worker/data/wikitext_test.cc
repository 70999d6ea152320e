#include "worker/data/wikitext.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/data/file.h"
#include "model/data/shard.h"
#include "worker/data/process.h"
#include "worker/data/wheel.h"

namespace strata::data {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A dump as Wikipedia's are: two articles, a redirect, a page of another namespace.
constexpr char kDump[] = R"(<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" xml:lang="en">
  <siteinfo><sitename>Wikipedia</sitename><namespaces><namespace key="0" /></namespaces></siteinfo>
  <page><title>Hound</title><ns>0</ns><id>1</id><redirect title="Dog" />
    <revision><text xml:space="preserve">#REDIRECT [[Dog]]</text></revision></page>
  <page><title>Dogs &amp; wolves</title><ns>0</ns><id>2</id>
    <revision><id>7</id><contributor><username>A</username></contributor><comment>no [[text]]</comment>
    <text xml:space="preserve">{{Infobox animal|name={{nowrap|A {{small|dog}}}}
| image = [[File:a.jpg|thumb|A [[dog]]]]
}}
{{Good article}} '''Dogs'''&lt;ref name=&quot;x&quot;&gt;{{cite book|title=Dogs}}&lt;/ref&gt; ({{IPAc-en|d|o|g}}; {{lang|de|''Hunde''}}) are [[tame]]
[[wolf|wolves]] of 3&amp;nbsp;kg &amp;ndash; 5&lt;ref name=x /&gt; kg.

{| class="wikitable"
! Breed !! Weight
|-
| [[Pug]] || {{convert|6|kg}}
{| 
| nested
|}
|}
== Life ==
&lt;!-- nothing --&gt;
=== Food ===
* Dogs eat {{convert|1|to|2|kg|lb}} of [http://x.org/?a=b|c good food].
*# A [[File:b.jpg|left|of [[meat]]]]bone.

== See also ==
* [[Cat]], which is no dog at all

=== Below ===
* [[Fox]], which is one nearly
[[Category:Dogs]]
[[de:Hund]]</text></revision></page>
  <page><title>Wikipedia:About</title><ns>4</ns><id>3</id><revision><text>It is about itself.</text></revision></page>
  <page><title>Cat</title><ns>0</ns><id>4</id><revision><text>A '''cat'''.</text></revision></page>
</mediawiki>)";

TEST(WikiArticlesTest, TakesArticlesOnlyAndTheirPlainText) {
  const auto articles = WikiArticles(kDump, "dump");
  ASSERT_EQ(articles.size(), 2u);
  EXPECT_EQ(articles[0].name, "wikipedia/Dogs & wolves");
  EXPECT_THAT(articles[0].paragraphs,
              ElementsAre("= Dogs & wolves =", "Dogs (Hunde) are tame wolves of 3 kg – 5 kg.",
                          "= Life =", "= Food =", "Dogs eat 1 to 2 kg of good food.", "A bone."));
  EXPECT_EQ(articles[1].name, "wikipedia/Cat");
  EXPECT_THAT(articles[1].paragraphs, ElementsAre("= Cat =", "A cat."));
}

TEST(WikiArticlesTest, RefusesABrokenDumpByNameAndLine) {
  const std::string dump = kDump;
  for (const std::string& broken : {dump.substr(0, dump.size() - 20), std::string("no XML"), std::string(),
                                    std::string("<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>")}) {
    try {
      WikiArticles(broken, "the dump");
      ADD_FAILURE() << broken;
    } catch (const model::DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr("the dump is no whole MediaWiki export: line "));
    }
  }
}

TEST(WikitextTest, IsPlainTextWithoutMarkup) {
  for (const auto& [wikitext, paragraphs] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"", {}},
           {"One\nparagraph.\n\nAnother.", {"One paragraph.", "Another."}},
           {"'''Dog''''s ''bone'' isn't '''''his'''''", {"Dog's bone isn't his"}},
           {"a{{x|{{y|}}|[[b|c]]}}b {{convert|5|-|7|km2}} {{cvt|2|mi}}", {"ab 5–7 km² 2 mi"}},
           {"{{lang|fr|le [[chien|{{nowrap|grand chien}}]]}} {{transl|ru|ISO|pyos}}", {"le grand chien pyos"}},
           {"{{quote|text=Be good.|author=Me}} {{as of|2011|alt=}}", {"Be good. as of 2011"}},
           {"x<br />y<sub>2</sub> <nowiki>[[z]] '''</nowiki> 1 < 2", {}},  // what is shown looks like broken markup
           {"x<br>y<sub>2</sub> <nowiki>''z''</nowiki> 1 < 2 &lt;b> &unknown; AT&T", {}},
           {"x<br>y<sub>2</sub> <nowiki>''z''</nowiki> 1 < 2 &lt;b> A & B", {"x y2 ''z'' 1 < 2 <b> A & B"}},
           {"[[:Category:Dogs]] [[Dog#Life|its life]] [http://a.b] [//c.d e f]", {"Category:Dogs its life e f"}},
           {"; term\n: its text\n code();\n* item", {"term", "its text", "item"}},
           {"The sum <math>a + b</math> is left out.\n\nThis is not.", {"This is not."}},
           {"An {{unclosed one.\n\nA [[link.\n\nFine.", {"Fine."}},
           {"A <ref>that never ends.\n\nFine.", {"Fine."}},
           {"=== Lone ===\n== Next ==\n=== Below ===\nText.\n== Last ==", {"= Next =", "= Below =", "Text."}},
           {"== References ==\nA book.\n=== Web ===\nA page.\n== After ==\nText.", {"= After =", "Text."}},
           {"A wolf ( ; , 3 kg, ) barks ().", {"A wolf (3 kg) barks ."}},
           {":{| \n| a\n|}\nText after {{Template\n| b\n}} it.", {"Text after it."}},
       }) {
    EXPECT_THAT(WikitextParagraphs(wikitext), ElementsAreArray(paragraphs)) << wikitext;
  }
}

TEST(LockedWheelTest, ReadsNameVersionAndHash) {
  const Wheel wheel = LockedWheel("# about\nx-y==1.2.3 --hash=sha256:0a1b\n");
  EXPECT_EQ(wheel.name, "x-y");
  EXPECT_EQ(wheel.version, "1.2.3");
  EXPECT_EQ(wheel.sha256, "0a1b");
  for (const std::string lock : {"", "# x==1", "x==1", "x>=1 --hash=sha256:0a"}) {
    EXPECT_THROW(LockedWheel(lock), model::DataError) << lock;
  }
}

// A wheel that lies there with the lock's hash is taken as it is, without pip; another one is fetched anew.
TEST(DownloadWheelTest, TakesAWheelOfTheRightHashAndReadsIt) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "strata-wheels";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  const std::filesystem::path file = folder / "dogs-1.0-py3-none-any.whl";
  const ProcessResult made = RunProcess(
      {"python3", "-I", "-S", "-c",
       "import bz2, sys, zipfile; zipfile.ZipFile(sys.argv[1], 'w').writestr('dogs/dump.bz2', bz2.compress(b'Wuff'))",
       file.string()});
  ASSERT_EQ(made.status, 0) << made.errors;
  const Wheel wheel = DownloadWheel("dogs==1.0 --hash=sha256:" + model::FileSha256(file), folder);
  EXPECT_EQ(wheel.file, file);
  EXPECT_EQ(Bzip2Member(wheel, "dogs/dump.bz2"), "Wuff");
  EXPECT_THROW(Bzip2Member(wheel, "dogs/cats.bz2"), model::DataError);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace strata::data
