// English-German descriptions of Debian's packages, out of the index files Translation-en and Translation-de.
#include <unordered_map>

#include "model/data/file.h"
#include "model/metrics/text.h"
#include "worker/data/sources.h"
#include "worker/data/stanzas.h"

namespace strata::data {
namespace {

// Source packages of one family ("gcc-11", "gcc-12") share their descriptions: they are one document.
std::string Family(std::string_view source) {
  const size_t space = source.find(' ');  // "gcc-12 (12.2.0-14)"
  if (space != std::string_view::npos) source = source.substr(0, space);
  std::string_view family = source;
  while (!family.empty() && ((family.back() >= '0' && family.back() <= '9') || family.back() == '.')) {
    family.remove_suffix(1);
  }
  while (family.ends_with('-')) family.remove_suffix(1);
  return std::string(family.empty() ? source : family);
}

// A list item's text without its bullet; the line itself if it has none.
std::string_view WithoutBullet(std::string_view line, bool* bullet) {
  std::string_view text = line;
  while (text.starts_with(' ')) text.remove_prefix(1);
  *bullet = false;
  for (const std::string_view mark : {"- ", "* ", "+ ", "o ", "\xe2\x80\xa2 ", "\xe2\x80\x93 "}) {
    if (!text.starts_with(mark) || (mark == "o " && !line.starts_with(' '))) continue;
    *bullet = true;
    return text.substr(mark.size());
  }
  return text;
}

// The paragraphs and list items of a long description, each in one line. The first line is the synopsis.
std::vector<std::string> Paragraphs(std::string_view description) {
  std::vector<std::string> paragraphs(1);
  bool open = false;
  for (const std::string_view line : model::Lines(description)) {
    if (paragraphs[0].empty()) {
      paragraphs[0] = std::string(line);
      continue;
    }
    if (model::SplitAtSpaces(line).empty() || line == ".") {
      open = false;
      continue;
    }
    bool bullet = false;
    const std::string_view text = WithoutBullet(line, &bullet);
    if (bullet || !open) {
      paragraphs.emplace_back(text);
    } else {
      paragraphs.back().append(" ").append(text);
    }
    open = true;
  }
  return paragraphs;
}

std::unordered_map<std::string, std::string> ByHash(std::string_view text, const std::string& value) {
  std::unordered_map<std::string, std::string> map;
  ForEachStanza(text, {"Package", "Description-md5", value}, [&](Stanza& stanza) {
    const std::string& found = stanza[value].empty() && value == "Source" ? stanza["Package"] : stanza[value];
    map.emplace(stanza["Description-md5"], found);
  });
  return map;
}

}  // namespace

std::vector<Document> AlignDescriptions(std::string_view packages, std::string_view english, std::string_view german) {
  const auto sources = ByHash(packages, "Source");
  const auto originals = ByHash(english, "Description-en");
  std::vector<Document> documents;
  std::unordered_map<std::string, size_t> places;
  ForEachStanza(german, {}, [&](Stanza& stanza) {
    const auto original = originals.find(stanza["Description-md5"]);
    if (original == originals.end()) return;
    const auto source = sources.find(original->first);
    const std::string name = "descriptions/" + Family(source == sources.end() ? stanza["Package"] : source->second);
    const auto [place, is_new] = places.emplace(name, documents.size());
    if (is_new) documents.push_back({.name = name, .pairs = {}});
    const auto from = Paragraphs(original->second), to = Paragraphs(stanza["Description-de"]);
    std::vector<Pair>& pairs = documents[place->second].pairs;
    pairs.push_back({from[0], to[0]});
    for (size_t i = 1; from.size() == to.size() && i < from.size(); ++i) AddParagraph(from[i], to[i], &pairs);
  });
  return documents;
}

std::vector<Document> HeadlinesOfDescriptions(std::string_view packages, std::string_view english) {
  const auto sources = ByHash(packages, "Source");
  std::vector<Document> documents;
  std::unordered_map<std::string, size_t> places;
  ForEachStanza(english, {}, [&](Stanza& stanza) {
    const auto source = sources.find(stanza["Description-md5"]);
    const std::string name = "headlines/" + Family(source == sources.end() ? stanza["Package"] : source->second);
    const auto [place, is_new] = places.emplace(name, documents.size());
    if (is_new) documents.push_back({.name = name, .pairs = {}});
    const auto paragraphs = Paragraphs(stanza["Description-en"]);
    std::string text;
    for (size_t i = 1; i < paragraphs.size(); ++i) text += paragraphs[i] + " ";
    documents[place->second].pairs.push_back({text, paragraphs[0]});
  });
  return documents;
}

PartText ReadHeadlines(Apt& apt) {
  const AptIndex packages = apt.Index("main/Packages"), english = apt.Index("main/i18n/Translation-en");
  PartText part;
  part.documents = HeadlinesOfDescriptions(model::ReadFile(packages.file), model::ReadFile(english.file));
  for (const AptIndex* index : {&packages, &english}) {
    part.provenance.push_back(
        {"descriptions", index->release, "", index->sha256, "as the packages that are described"});
  }
  return part;
}

PartText ReadDescriptions(Apt& apt) {
  const AptIndex packages = apt.Index("main/Packages");
  const AptIndex english = apt.Index("main/i18n/Translation-en"), german = apt.Index("main/i18n/Translation-de");
  PartText part;
  part.documents =
      AlignDescriptions(model::ReadFile(packages.file), model::ReadFile(english.file), model::ReadFile(german.file));
  for (const AptIndex* index : {&packages, &english, &german}) {
    part.provenance.push_back(
        {"descriptions", index->release, "", index->sha256, "as the packages that are described"});
  }
  return part;
}

}  // namespace strata::data
