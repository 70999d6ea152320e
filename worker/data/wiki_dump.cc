// MediaWiki's XML export, read by expat.
#include <expat.h>

#include <memory>

#include "model/data/shard.h"
#include "worker/data/wikitext.h"

namespace strata::data {
namespace {

struct Page {
  std::string title, space, text;
  bool redirect = false;
};

struct Export {
  XML_Parser parser = nullptr;
  std::vector<std::string> open;  // the elements that we are in
  Page page;
  std::vector<TextDocument> articles;
};

void Start(void* data, const XML_Char* name, const XML_Char**) {
  auto& dump = *static_cast<Export*>(data);
  dump.open.emplace_back(name);
  if (dump.open.back() == "page") dump.page = {};
  if (dump.open.back() == "text") dump.page.text.clear();
  if (dump.open.back() == "redirect") dump.page.redirect = true;
}

void End(void* data, const XML_Char*) {
  auto& dump = *static_cast<Export*>(data);
  if (dump.open.back() == "page" && dump.page.space == "0" && !dump.page.redirect) {
    TextDocument article{"wikipedia/" + dump.page.title, {"= " + dump.page.title + " ="}};
    for (std::string& paragraph : WikitextParagraphs(dump.page.text))
      article.paragraphs.push_back(std::move(paragraph));
    dump.articles.push_back(std::move(article));
  }
  dump.open.pop_back();
}

void Text(void* data, const XML_Char* text, int length) {
  auto& dump = *static_cast<Export*>(data);
  const std::string& element = dump.open.back();
  std::string* to = element == "title"  ? &dump.page.title
                    : element == "ns"   ? &dump.page.space
                    : element == "text" ? &dump.page.text
                                        : nullptr;
  if (to != nullptr) to->append(text, static_cast<size_t>(length));
}

// An export declares no entities; expanding what others declare may take all memory.
void Entity(void* data, const XML_Char*, int, const XML_Char*, int, const XML_Char*, const XML_Char*, const XML_Char*,
            const XML_Char*) {
  XML_StopParser(static_cast<Export*>(data)->parser, XML_FALSE);
}

}  // namespace

std::vector<TextDocument> WikiArticles(std::string_view xml, const std::string& name) {
  const std::unique_ptr<XML_ParserStruct, decltype(&XML_ParserFree)> parser(XML_ParserCreate("UTF-8"), XML_ParserFree);
  if (parser == nullptr) throw std::bad_alloc();
  Export dump;
  dump.parser = parser.get();
  XML_SetUserData(parser.get(), &dump);
  XML_SetElementHandler(parser.get(), Start, End);
  XML_SetCharacterDataHandler(parser.get(), Text);
  XML_SetEntityDeclHandler(parser.get(), Entity);
  constexpr size_t kPiece = size_t{1} << 20;
  do {
    const std::string_view piece = xml.substr(0, kPiece);
    xml.remove_prefix(piece.size());
    if (XML_Parse(parser.get(), piece.data(), static_cast<int>(piece.size()), xml.empty()) != XML_STATUS_OK) {
      throw model::DataError(name + " is no whole MediaWiki export: line " +
                             std::to_string(XML_GetCurrentLineNumber(parser.get())) + ": " +
                             XML_ErrorString(XML_GetErrorCode(parser.get())) + ".");
    }
  } while (!xml.empty());
  return std::move(dump.articles);
}

}  // namespace strata::data
