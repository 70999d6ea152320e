// English-German text out of the files of Debian packages: LibreOffice's help, manuals of GNOME and Debian, manual
// pages.
#include <algorithm>
#include <map>

#include "worker/data/markup.h"
#include "worker/data/sources.h"
#include "worker/data/unpacked.h"

namespace strata::data {
namespace {

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

using ReadBlocks = std::vector<Block> (*)(std::string_view);

// Aligns a German file with its English counterpart, by structure.
void AddByStructure(const Unpacked& files, const std::string& german, const std::string& english, ReadBlocks read,
                    const std::string& name, std::vector<Document>* documents) {
  const auto from = files.Text(english), to = files.Text(german);
  if (!from || !to || english == german) return;
  Document document{.name = name, .pairs = {}};
  AlignBlocks(read(*from), read(*to), &document.pairs);
  if (!document.pairs.empty()) documents->push_back(std::move(document));
}

// A German page ends with a section about its translators, which no English page has.
std::vector<Block> PageBlocks(std::string_view page) {
  std::vector<Block> blocks = ManBlocks(page);
  const auto last = std::find_if(blocks.begin(), blocks.end(),
                                 [](const Block& block) { return block.heading && block.text == "ÜBERSETZUNG"; });
  blocks.erase(last, blocks.end());
  return blocks;
}

// Where the English text of a German file of Debian's or GNOME's manuals stands.
std::string EnglishManual(const std::string& german) {
  std::string english = german;
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"share/help/de/", "share/help/C/"},
                                                        {"amd64/de/", "amd64/en/"},
                                                        {"html/de-DE/", "html/en-US/"},
                                                        {"FAQ/de/", "FAQ/"},
                                                        {"developers-reference/de/", "developers-reference/"},
                                                        {"maint-guide-de/", "maint-guide/"},
                                                        {".de.html", ".en.html"}}) {
    english = Replaced(english, from, to);
  }
  return english;
}

}  // namespace

PartText ReadLibreOfficeHelp(Apt& apt) {
  const Unpacked files(apt, "libreoffice", {"libreoffice-help-en-us", "libreoffice-help-de"}, "MPL-2.0");
  PartText part{.documents = {}, .provenance = files.provenance};
  files.ForEachFile("usr/share/libreoffice/help/de/text", [&](const std::string& german) {
    const auto from = files.Text(Replaced(german, "help/de/", "help/en-US/")), to = files.Text(german);
    if (!from || !to) return;
    std::map<std::string, const Block*> by_id;
    const std::vector<Block> english_blocks = HtmlBlocks(*from), german_blocks = HtmlBlocks(*to);
    for (const Block& block : english_blocks) {
      if (!block.id.empty()) by_id.emplace(block.id, &block);
    }
    Document document{.name = german, .pairs = {}};
    for (const Block& block : german_blocks) {
      const auto found = by_id.find(block.id);
      if (found == by_id.end() || block.unfit || found->second->unfit) continue;
      AddParagraph(found->second->text, block.text, &document.pairs);
    }
    part.documents.push_back(std::move(document));
  });
  return part;
}

PartText ReadManuals(Apt& apt) {
  const Unpacked files(apt, "manuals",
                       {"gnome-user-docs", "debian-reference-en", "debian-reference-de", "developers-reference",
                        "developers-reference-de", "debian-faq", "debian-faq-de", "installation-guide-amd64",
                        "harden-doc", "maint-guide", "maint-guide-de"},
                       "CC-BY-SA-3.0 (GNOME), GPL-2+ and others (see each package's copyright file)");
  PartText part{.documents = {}, .provenance = files.provenance};
  files.Decompress("usr/share");
  files.ForEachFile("usr/share", [&](const std::string& german) {
    const std::string english = EnglishManual(german);
    if (english != german) AddByStructure(files, german, english, HtmlBlocks, german, &part.documents);
  });
  return part;
}

PartText ReadManualPages(Apt& apt) {
  const Unpacked files(apt, "manpages", {"manpages-de", "manpages-de-dev", "manpages", "manpages-dev"},
                       "GPL-3+ and others");
  PartText part{.documents = {}, .provenance = files.provenance};
  files.Decompress("usr/share/man");
  files.ForEachFile("usr/share/man/de", [&](const std::string& german) {
    AddByStructure(files, german, Replaced(german, "man/de/", "man/"), PageBlocks, german, &part.documents);
  });
  return part;
}

}  // namespace strata::data
