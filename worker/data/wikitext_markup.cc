// What stands inside the lines of wiki markup: elements, templates, tables, links.
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "worker/data/parallel_text.h"
#include "worker/data/wikitext.h"

namespace strata::data {
namespace {

constexpr size_t kNone = std::string_view::npos;

// Elements that go with what they hold. A formula's place is a hole.
constexpr std::array<std::string_view, 12> kDropped = {"ref",  "gallery", "timeline", "source",     "syntaxhighlight",
                                                       "pre",  "score",   "imagemap", "references", "table",
                                                       "math", "chem"};
// Templates that are the text of their first, second or last parameter; those that are a fixed text; those whose text
// is made by calculation and so is not known here.
constexpr std::array<std::string_view, 21> kFirst = {
    "nowrap", "nobr",       "small",          "smaller",  "big",       "flag",    "quote",
    "cquote", "blockquote", "vanchor",        "keypress", "angbr",     "nihongo", "as of",
    "abbr",   "nts",        "visible anchor", "'s",       "smallcaps", "sic",     "linktext"};
constexpr std::array<std::string_view, 3> kLast = {"lang", "transl", "lang-sq"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kFixed = {{
    {"ndash", "–"},
    {"mdash", "—"},
    {"spaced ndash", " – "},
    {"snd", " – "},
    {"nbsp", " "},
    {"'", "'"},
    {"·", " · "},
    {"circa", "c. "},
    {"c.", "c. "},
    {"pipe", "|"},
    {"!", "|"},
    {"-", ""},
}};
constexpr std::array<std::string_view, 15> kCalculated = {
    "math", "mvar",  "chem", "val", "simplenuclide2", "simplenuclide", "nuclide", "inflation",
    "frac", "sfrac", "su",   "e",   "bartable",       "eqm",           "age"};

template <typename Set>
bool Contains(const Set& set, std::string_view name) {
  return std::find(set.begin(), set.end(), name) != set.end();
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string Trimmed(std::string_view text) {
  const size_t from = text.find_first_not_of(" \t\n");
  return from == kNone ? "" : std::string(text.substr(from, text.find_last_not_of(" \t\n") - from + 1));
}

// Text that markup is not read in, as entities.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::string_view("[]{}'|<=*#:;").find(c) != kNone) {
      escaped += "&#" + std::to_string(static_cast<int>(c)) + ";";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Where the element that `name` opens before `from` is closed: the ends of its content and of its closing tag.
std::pair<size_t, size_t> Closing(std::string_view text, size_t from, const std::string& name) {
  for (size_t at = text.find("</", from); at != kNone; at = text.find("</", at + 2)) {
    const size_t end = text.find('>', at);
    if (end != kNone && Lower(Trimmed(text.substr(at + 2, end - at - 2))) == name) return {at, end + 1};
  }
  return {kNone, kNone};
}

// Comments and elements out; of others only the tags.
std::string WithoutElements(std::string_view text) {
  std::string left;
  for (size_t at = 0; at < text.size();) {
    const size_t open = text.find('<', at);
    left += text.substr(at, open - at);
    if (open == kNone) break;
    if (text.substr(open).starts_with("<!--")) {
      const size_t end = text.find("-->", open);
      at = end == kNone ? text.size() : end + 3;
      continue;
    }
    const bool closes = open + 1 < text.size() && text[open + 1] == '/';
    size_t end_of_name = open + 1 + closes;
    while (end_of_name < text.size() && std::isalpha(static_cast<unsigned char>(text[end_of_name]))) ++end_of_name;
    const std::string name = Lower(text.substr(open + 1 + closes, end_of_name - open - 1 - closes));
    const size_t end = text.find('>', end_of_name);
    if (name.empty() || end == kNone) {
      left += '<';
      at = open + 1;
      continue;
    }
    at = end + 1;
    const bool empty = text[end - 1] == '/';
    if (name == "br" || name == "li") left += ' ';
    if (closes || empty || (name != "nowiki" && !Contains(kDropped, name))) continue;
    const auto [content, after] = Closing(text, at, name);
    if (content == kNone) {
      left += kWikitextHole;
      continue;
    }
    if (name == "nowiki") left += Escaped(text.substr(at, content - at));
    if (name == "math" || name == "chem") left += kWikitextHole;
    at = after;
  }
  return left;
}

// Is `at` the first of its line but for spaces and marks of lists?
bool BeginsLine(std::string_view text, size_t at) {
  while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == ':')) --at;
  return at == 0 || text[at - 1] == '\n';
}

// The position behind what is opened at `at` by two marks, nested ones included.
size_t Behind(std::string_view text, size_t at, std::string_view open, std::string_view close) {
  size_t depth = 0;
  while (at < text.size()) {
    const std::string_view here = text.substr(at);
    if (here.starts_with(open)) {
      ++depth;
      at += open.size();
    } else if (here.starts_with(close)) {
      at += close.size();
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return kNone;
}

// The same of a table, whose marks count at the beginning of a line only.
size_t BehindTable(std::string_view text, size_t at) {
  size_t depth = 0;
  while (at < text.size()) {
    const std::string_view here = text.substr(at);
    if (here.starts_with("{{")) {
      const size_t behind = Behind(text, at, "{{", "}}");
      at = behind == kNone ? at + 2 : behind;
    } else if (here.starts_with("{|") && BeginsLine(text, at)) {
      ++depth;
      at += 2;
    } else if (here.starts_with("|}") && BeginsLine(text, at)) {
      at += 2;
      if (--depth == 0) return at;
    } else {
      ++at;
    }
  }
  return kNone;
}

// Split at the bars that stand outside nested templates and links.
std::vector<std::string_view> AtBars(std::string_view text) {
  std::vector<std::string_view> parts;
  size_t from = 0, depth = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    const std::string_view two = text.substr(at, 2);
    if (two == "{{" || two == "[[") {
      ++depth;
      ++at;
    } else if ((two == "}}" || two == "]]") && depth > 0) {
      --depth;
      ++at;
    } else if (text[at] == '|' && depth == 0) {
      parts.push_back(text.substr(from, at - from));
      from = at + 1;
    }
  }
  parts.push_back(text.substr(from));
  return parts;
}

std::string Unit(const std::string& code) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 10> kUnits = {{{"km2", "km²"},
                                                                                            {"m2", "m²"},
                                                                                            {"sqmi", "sq mi"},
                                                                                            {"sqkm", "km²"},
                                                                                            {"C", "°C"},
                                                                                            {"F", "°F"},
                                                                                            {"m3", "m³"},
                                                                                            {"km3", "km³"},
                                                                                            {"cuft", "cu ft"},
                                                                                            {"in", "inches"}}};
  for (const auto& [name, text] : kUnits) {
    if (name == code) return std::string(text);
  }
  return code;
}

// {{convert|3|to|5|km|mi}} is "3 to 5 km".
std::string Measure(const std::vector<std::string>& words) {
  if (words.size() < 2) return std::string(1, kWikitextHole);
  static constexpr std::array<std::string_view, 8> kBetween = {"-", "–", "to", "and", "or", "by", "x", "to(-)"};
  if (words.size() < 4 || !Contains(kBetween, words[1])) return words[0] + " " + Unit(words[1]);
  const bool dash = words[1] == "-" || words[1] == "–" || words[1] == "to(-)";
  return words[0] + (dash ? "–" : " " + words[1] + " ") + words[2] + " " + Unit(words[3]);
}

std::string Expanded(std::string_view text);

// What a template stands for; most for nothing.
std::string Template(std::string_view inside) {
  const std::vector<std::string_view> parts = AtBars(inside);
  const std::string name = Lower(Trimmed(parts[0]));
  for (const auto& [fixed, text] : kFixed) {
    if (fixed == name) return std::string(text);
  }
  if (Contains(kCalculated, name)) return std::string(1, kWikitextHole);
  const bool measure = name == "convert" || name == "cvt", first = Contains(kFirst, name), last = Contains(kLast, name);
  if (!measure && !first && !last) return "";
  std::vector<std::string> values;  // those without a name, or whose name is 1
  for (size_t i = 1; i < parts.size(); ++i) {
    const size_t equals = parts[i].find('=');
    const std::string key = equals == kNone ? "" : Trimmed(parts[i].substr(0, equals));
    const bool named = equals != kNone && key.find_first_of("[{<\"' ") == kNone;
    if (named && key != "1" && key != "text") continue;
    values.push_back(Expanded(Trimmed(named ? parts[i].substr(equals + 1) : parts[i])));
  }
  if (values.empty()) return "";
  if (measure) return Measure(values);
  if (name == "as of") return "as of " + values[0];
  if (name == "'s") return "'s";
  return last ? values.back() : values[0];
}

// Templates and tables out, or in place of them what they stand for.
std::string Expanded(std::string_view text) {
  std::string left;
  for (size_t at = 0; at < text.size();) {
    const std::string_view here = text.substr(at);
    const bool table = here.starts_with("{|") && BeginsLine(text, at);
    if (!table && !here.starts_with("{{")) {
      left += text[at++];
      continue;
    }
    const size_t behind = table ? BehindTable(text, at) : Behind(text, at, "{{", "}}");
    if (behind == kNone) {  // broken: this paragraph is left out
      left += kWikitextHole;
      at += 2;
      continue;
    }
    const std::string words = table ? "" : Template(text.substr(at + 2, behind - at - 4));
    left += words;
    at = behind;
    // A space behind what is gone from a line's beginning would make the line preformatted.
    if (words.empty() && (left.empty() || left.back() == '\n'))
      at = std::min(text.find_first_not_of(' ', at), text.size());
  }
  return left;
}

std::string WithoutLinks(std::string_view text);

// Of [[target|label]] what is seen; none of files, categories and other languages' pages.
std::string Link(std::string_view inside) {
  const std::vector<std::string_view> parts = AtBars(inside);
  std::string target = Trimmed(parts[0]);
  const size_t colon = target.find(':');
  if (colon != kNone && colon > 0) {
    const std::string space = target.substr(0, colon);
    const std::string lower = Lower(space);
    const bool language = space == lower &&
                          (space.size() == 2 || space.size() == 3 || space == "be-x-old" || space == "simple") &&
                          space != "wp" && space != "doi" && space != "hdl" && parts.size() == 1;
    if (lower == "file" || lower == "image" || lower == "category" || lower == "media" || language) return "";
  }
  if (parts.size() > 1) return WithoutLinks(inside.substr(parts[0].size() + 1));
  return target.substr(target.starts_with(':'));
}

bool IsAddress(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("//") ||
         text.starts_with("ftp://") || text.starts_with("mailto:");
}

std::string WithoutLinks(std::string_view text) {
  std::string left;
  for (size_t at = 0; at < text.size();) {
    const std::string_view here = text.substr(at);
    if (here.starts_with("[[")) {
      const size_t behind = Behind(text, at, "[[", "]]");
      if (behind == kNone) {
        left += kWikitextHole;
        at += 2;
        continue;
      }
      const std::string words = Link(text.substr(at + 2, behind - at - 4));
      left += words;
      at = behind;
      if (words.empty() && (left.empty() || left.back() == '\n'))
        at = std::min(text.find_first_not_of(' ', at), text.size());
    } else if (here.starts_with("[") && IsAddress(here.substr(1)) && here.find(']') < here.find('\n')) {
      const size_t end = here.find(']'), space = here.find(' ');
      if (space < end) left += WithoutLinks(here.substr(space + 1, end - space - 1));
      at += end + 1;
    } else {
      left += text[at++];
    }
  }
  return left;
}

// '' and ''' out; of four quotes one is text.
std::string WithoutEmphasis(std::string_view text) {
  std::string left;
  for (size_t at = 0; at < text.size();) {
    size_t quotes = 0;
    while (at + quotes < text.size() && text[at + quotes] == '\'') ++quotes;
    if (quotes == 0) {
      left += text[at++];
      continue;
    }
    if (quotes == 1 || quotes == 4) left += '\'';
    at += quotes;
  }
  return left;
}

}  // namespace

std::string WithoutWikiMarkup(std::string_view wikitext) {
  return WithoutEmphasis(WithoutLinks(Expanded(WithoutElements(wikitext))));
}

}  // namespace strata::data
