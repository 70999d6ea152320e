// The lines of wiki markup: paragraphs, items, headings and sections.
#include "worker/data/wikitext.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "model/metrics/text.h"
#include "worker/data/markup.h"
#include "worker/data/parallel_text.h"

namespace strata::data {
namespace {

// Sections that list works and pages instead of telling something.
constexpr std::array<std::string_view, 15> kLists = {"references",
                                                     "external links",
                                                     "see also",
                                                     "further reading",
                                                     "notes",
                                                     "bibliography",
                                                     "footnotes",
                                                     "sources",
                                                     "citations",
                                                     "works cited",
                                                     "notes and references",
                                                     "references and notes",
                                                     "primary sources",
                                                     "secondary sources",
                                                     "gallery"};

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string replaced;
  for (size_t at = text.find(from); at != std::string_view::npos; at = text.find(from)) {
    replaced.append(text.substr(0, at)).append(to);
    text.remove_prefix(at + from.size());
  }
  return replaced.append(text);
}

// Entities in place; a hole where one is not known. An & of its own is text.
std::string WithoutEntities(std::string_view text) {
  std::string plain;
  for (size_t at = 0; at < text.size(); ++at) {
    const size_t end = text[at] == '&' ? text.find(';', at) : std::string_view::npos;
    const bool entity =
        end != std::string_view::npos && end - at > 2 && end - at < 10 &&
        std::all_of(text.begin() + static_cast<ptrdiff_t>(at) + 1, text.begin() + static_cast<ptrdiff_t>(end),
                    [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '#'; });
    if (!entity) {
      plain += text[at];
      continue;
    }
    if (!AppendEntity(text.substr(at + 1, end - at - 1), &plain)) plain += kWikitextHole;
    at = end;
  }
  return plain;
}

// Brackets without what a template left empty in them: "Aristotle (; , 384 BC)" is "Aristotle (384 BC)".
std::string WithTidyBrackets(std::string_view text) {
  std::string tidy;
  for (const char c : text) {
    const bool after_open = tidy.ends_with('(');
    if (after_open && (c == ' ' || c == ';' || c == ',')) continue;
    if (c == ')') {
      while (tidy.ends_with(' ') || tidy.ends_with(';') || tidy.ends_with(',')) tidy.pop_back();
      if (tidy.ends_with('(')) {
        tidy.pop_back();
        continue;
      }
    }
    tidy += c;
  }
  return tidy;
}

// A line's or paragraph's text; empty where something in it cannot be told.
std::string Plain(std::string_view raw) {
  const std::string decoded = WithoutEntities(Replaced(raw, "&thinsp;", " "));
  const std::string text = Replaced(Replaced(decoded, "\u00a0", " "), "\u2009", " ");
  if (text.find(kWikitextHole) != std::string::npos) return "";
  for (const std::string_view broken : {"{{", "}}", "[[", "]]", "{|", "|}", "<ref", "</ref", "__"}) {
    if (text.find(broken) != std::string::npos) return "";
  }
  return Tidied(WithTidyBrackets(text));
}

// "== Heading ==" has level 2; what is no heading, 0.
size_t LevelOf(std::string_view line) {
  size_t level = 0;
  while (level < line.size() && line[level] == '=') ++level;
  const size_t last = line.find_last_not_of('=');
  return level > 0 && last != std::string_view::npos && line.size() - last - 1 >= level ? level : 0;
}

class Reader {
 public:
  std::vector<std::string> Read(std::string_view wikitext) {
    const std::string text = WithoutWikiMarkup(wikitext);
    for (const std::string_view line : model::Lines(text)) Line(line);
    Finish();
    return std::move(paragraphs_);
  }

 private:
  void Line(std::string_view line) {
    const std::string tidied = Tidied(line);
    const size_t level = LevelOf(tidied);
    if (level > 0) {
      Finish();
      Heading(tidied, level);
    } else if (tidied.empty()) {
      Finish();
    } else if (list_level_ > 0 || line[0] == '|' || line[0] == '!') {
      // A section of lists, or what a broken table left.
    } else if (line[0] == ' ' || line[0] == '\t') {
      Finish();
    } else if (std::string_view("*#:;").find(line[0]) != std::string_view::npos) {
      Finish();
      paragraph_ = tidied.substr(std::min(tidied.find_first_not_of("*#:; "), tidied.size()));
      Finish();
    } else {
      paragraph_ += (paragraph_.empty() ? "" : " ") + tidied;
    }
  }

  void Heading(const std::string& line, size_t level) {
    const std::string text = Plain(line.substr(level, line.size() - 2 * level));
    if (list_level_ > 0 && level > list_level_) return;
    std::string lower = text;
    std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
    list_level_ = std::find(kLists.begin(), kLists.end(), lower) == kLists.end() ? 0 : level;
    while (!headings_.empty() && headings_.back().first >= level) headings_.pop_back();
    if (list_level_ == 0 && !text.empty()) headings_.emplace_back(level, "= " + text + " =");
  }

  // Headings come out with the first text below them.
  void Finish() {
    std::string text = Plain(paragraph_);
    paragraph_.clear();
    if (text.empty()) return;
    for (auto& heading : headings_) {
      if (!heading.second.empty()) paragraphs_.push_back(std::move(heading.second));
      heading.second.clear();
    }
    paragraphs_.push_back(std::move(text));
  }

  std::vector<std::string> paragraphs_;
  std::string paragraph_;
  std::vector<std::pair<size_t, std::string>> headings_;  // those that are open; empty when written
  size_t list_level_ = 0;                                 // of the section that is left out, if any
};

}  // namespace

std::vector<std::string> WikitextParagraphs(std::string_view wikitext) { return Reader().Read(wikitext); }

}  // namespace strata::data
