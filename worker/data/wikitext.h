// Wikipedia articles out of a dump: MediaWiki's XML export, and the plain text of its markup. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "worker/data/running_text.h"

namespace strata::data {

// The articles of an export (pages of the main namespace that are no redirects) in its order. A document is named
// "wikipedia/TITLE" and begins with the heading "= TITLE ="; what follows are WikitextParagraphs of the page's last
// revision in the export. Throws model::DataError naming `name` and the line where the XML is broken or cut off.
std::vector<TextDocument> WikiArticles(std::string_view xml, const std::string& name);

// Paragraphs, list items and headings ("= Heading ="), one line each, without markup. Left out are templates but for a
// few that stand for words ({{convert}}, {{lang}}, {{nowrap}}, ...), tables, references, galleries, files, categories,
// comments, indented (preformatted) lines, headings with nothing below them, and sections that only list (See also,
// References, External links, ...). A paragraph that holds a formula, or markup that is broken, is left out whole.
std::vector<std::string> WikitextParagraphs(std::string_view wikitext);

// The first half of it: the text without elements, templates, tables, links and quotes of emphasis; lines
// are as they were. kWikitextHole stands where something cannot be told in text.
constexpr char kWikitextHole = '\x01';
std::string WithoutWikiMarkup(std::string_view wikitext);

}  // namespace strata::data
