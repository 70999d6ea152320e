// English running text out of Debian packages and a wheel, for language models.
#include <algorithm>
#include <cstdint>
#include <iterator>

#include "model/data/shard.h"
#include "worker/data/books.h"
#include "worker/data/markup.h"
#include "worker/data/sources.h"
#include "worker/data/unpacked.h"
#include "worker/data/wheel.h"
#include "worker/data/wikitext.h"

// deploy/requirements-wikipedia.txt
extern "C" const char strata_wikipedia_lock[];
extern "C" const uint64_t strata_wikipedia_lock_size;

namespace strata::data {
namespace {

void Append(const Unpacked& files, std::vector<Provenance>* provenance) {
  provenance->insert(provenance->end(), files.provenance.begin(), files.provenance.end());
}

// A page's blocks, one after another.
TextDocument Page(const std::string& name, std::string_view html) {
  TextDocument document{name, {}};
  for (const Block& block : HtmlBlocks(html)) {
    if (block.unfit || block.text.empty()) continue;
    document.paragraphs.push_back(block.heading ? "= " + block.text + " =" : block.text);
  }
  return document;
}

using Chooses = bool (*)(const std::string& path);

std::vector<TextDocument> Pages(const Unpacked& files, const std::string& below, Chooses chooses) {
  std::vector<TextDocument> documents;
  files.Decompress(below);
  files.ForEachFile(below, [&](const std::string& path) {
    if (!chooses(path)) return;
    if (const auto text = files.Text(path)) documents.push_back(Page(path, *text));
  });
  return documents;
}

std::vector<TextDocument> ReadAnarchism(Apt& apt, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, "anarchism", {"anarchism"}, "GPL-2+ or GFDL-1.1+");
  Append(files, provenance);
  return Pages(files, "usr/share/doc/anarchism/html", [](const std::string& path) { return path.ends_with(".html"); });
}

std::vector<TextDocument> ReadDictionary(Apt& apt, const std::string& package, const std::string& name,
                                         const std::string& licence, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, name, {package}, licence);
  Append(files, provenance);
  return DictionaryEntries(files.Raw("usr/share/dictd/" + name + ".dict.dz"), name);
}

std::vector<TextDocument> ReadGcide(Apt& apt, std::vector<Provenance>* provenance) {
  return ReadDictionary(apt, "dict-gcide", "gcide", "GPL-3+", provenance);
}

std::vector<TextDocument> ReadFoldoc(Apt& apt, std::vector<Provenance>* provenance) {
  return ReadDictionary(apt, "dict-foldoc", "foldoc", "GFDL-1.1+", provenance);
}

std::vector<TextDocument> ReadEnglishHelp(Apt& apt, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, "libreoffice-en", {"libreoffice-help-en-us"}, "MPL-2.0");
  Append(files, provenance);
  return Pages(files, "usr/share/libreoffice/help/en-US/text",
               [](const std::string& path) { return path.ends_with(".html"); });
}

// English pages only: of GNOME's, those under C; of others, those named .en.html or in a folder of English.
bool IsEnglishManual(const std::string& path) {
  const auto in = [&](const std::string& part) { return path.find(part) != std::string::npos; };
  if (in("share/help/")) return in("share/help/C/") && path.ends_with(".page");
  if (path.ends_with(".en.html") || (in("amd64/en/") && path.ends_with(".html"))) return true;
  const size_t name = path.rfind('/') + 1;
  const bool plain = path.ends_with(".html") && path.find('.', name) == path.size() - 5;
  const bool translated = in("/de/") || in("/fr/") || in("/ja/") || in("/ru/") || in("/it/") || in("/es/") ||
                          in("/pt") || in("/zh") || in("/pl/") || in("/ca/") || in("/nl/") || in("/cs/") ||
                          in("/ko/") || in("/uk/");
  return plain && !translated && in("share/doc/") && !in("changelog");
}

std::vector<TextDocument> ReadEnglishManuals(Apt& apt, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, "manuals-en",
                       {"gnome-user-docs", "debian-reference-en", "developers-reference", "debian-faq",
                        "installation-guide-amd64", "maint-guide"},
                       "CC-BY-SA-3.0 (GNOME), GPL-2+ and others (see each package's copyright file)");
  Append(files, provenance);
  return Pages(files, "usr/share", IsEnglishManual);
}

std::vector<TextDocument> ReadPerl(Apt& apt, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, "perl", {"perl-doc"}, "GPL-1+ or Artistic");
  Append(files, provenance);
  std::vector<TextDocument> documents;
  files.ForEachFile("usr/share/perl", [&](const std::string& path) {
    const bool other_language = path.ends_with("perlcn.pod") || path.ends_with("perlko.pod") ||
                                path.ends_with("perljp.pod") || path.ends_with("perltw.pod");
    if (!path.ends_with(".pod") || other_language || path.find("delta") != std::string::npos) return;
    if (const auto text = files.Text(path)) documents.push_back({path, PodParagraphs(*text)});
  });
  return documents;
}

std::vector<TextDocument> ReadAusten(Apt& apt, std::vector<Provenance>* provenance) {
  const Unpacked files(apt, "austen", {"r-cran-janeaustenr"}, "public domain (books), MIT (package)");
  Append(files, provenance);
  const std::string path = "usr/lib/R/site-library/janeaustenr/data/Rdata.rdb";
  std::vector<TextDocument> chapters;
  for (const auto& lines : StringVectorsOfRdb(files.Bytes(path), path)) {
    auto read = Chapters(lines);
    std::move(read.begin(), read.end(), std::back_inserter(chapters));
  }
  HoldOutOfFew(6, &chapters);
  return chapters;
}

// Two shortened dumps of the English Wikipedia among a library's test data.
std::vector<TextDocument> ReadWikipedia(Apt& apt, std::vector<Provenance>* provenance) {
  const Wheel wheel = DownloadWheel({strata_wikipedia_lock, strata_wikipedia_lock_size}, apt.folder() / "wheels");
  std::vector<TextDocument> articles;
  for (const std::string name :
       {"enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2", "enwiki-table-markup.xml.bz2"}) {
    auto read = WikiArticles(Bzip2Member(wheel, "gensim/test/test_data/" + name), name);
    std::move(read.begin(), read.end(), std::back_inserter(articles));
  }
  HoldOutOfFew(6, &articles);
  provenance->push_back({"wikipedia", "English Wikipedia of 2016, in the wheel " + wheel.name, wheel.version,
                         wheel.sha256,
                         "CC-BY-SA-3.0 (by the authors in each article's history, changed: as plain text)"});
  return articles;
}

}  // namespace

const std::vector<RunningTextPart>& RunningTextParts() {
  static const std::vector<RunningTextPart> parts = {
      {"anarchism", "an FAQ of 140 long articles", ReadAnarchism},
      {"foldoc", "a dictionary of computing", ReadFoldoc},
      {"gcide", "a dictionary of English, of 1913 and later", ReadGcide},
      {"libreoffice", "LibreOffice's help", ReadEnglishHelp},
      {"manuals", "manuals of GNOME and Debian", ReadEnglishManuals},
      {"perl", "Perl's documentation", ReadPerl},
      {.name = "austen", .what = "Jane Austen's six novels, by chapter", .read = ReadAusten, .by_default = false},
      {.name = "wikipedia",
       .what = "111 long articles of the English Wikipedia, by pip out of a wheel (28 MB)",
       .read = ReadWikipedia,
       .by_default = false,
       .packages = false},
  };
  return parts;
}

}  // namespace strata::data
