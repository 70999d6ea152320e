// Real text out of Debian packages: what `strata-data fetch` knows. A part is one kind of document; each lives in a
// file of its own and is listed in sources.cc.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "worker/data/apt.h"
#include "worker/data/parallel_text.h"
#include "worker/data/running_text.h"

namespace strata::data {

struct Provenance {
  std::string part, origin, version, sha256, licence;
};

struct PartText {
  std::vector<Document> documents;
  std::vector<Provenance> provenance;
};

struct Part {
  std::string name, what;
  std::function<PartText(Apt&)> read;  // throws model::DataError
};

// A kind of English running text, and the packages or the wheel that hold it.
struct RunningTextPart {
  std::string name, what;
  std::function<std::vector<TextDocument>(Apt&, std::vector<Provenance>*)> read;  // throws model::DataError
  bool by_default = true;
  bool packages = true;  // what lies in no package needs no package lists
};

// The parts of English running text, those used by default first.
const std::vector<RunningTextPart>& RunningTextParts();

// Headlines: long descriptions of packages as the text, their synopsis as the headline; a document is a source package.
PartText ReadHeadlines(Apt& apt);
// The same from the text of two indices, for tests.
std::vector<Document> HeadlinesOfDescriptions(std::string_view packages, std::string_view english);

// The parts of English-German text, the default one first.
const std::vector<Part>& EnglishGermanParts();

// Short and long descriptions of packages, aligned by the hash of the English text; a document is a source package.
PartText ReadDescriptions(Apt& apt);
// The same from the text of three indices, for tests.
std::vector<Document> AlignDescriptions(std::string_view packages, std::string_view english, std::string_view german);

// LibreOffice's help, aligned by the ids of its paragraphs; a document is a page.
PartText ReadLibreOfficeHelp(Apt& apt);
// Manuals of GNOME and Debian, aligned by their structure; a document is a page or chapter.
PartText ReadManuals(Apt& apt);
// Manual pages, aligned by their structure; a document is a page.
PartText ReadManualPages(Apt& apt);

}  // namespace strata::data
