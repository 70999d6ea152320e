// Blocks of manual pages: troff, as far as the man macros use it.
#include <algorithm>
#include <array>

#include "model/metrics/text.h"
#include "worker/data/markup.h"

namespace strata::data {
namespace {

constexpr std::array<std::string_view, 8> kParagraphs = {"PP", "P", "LP", "IP", "TQ", "RS", "RE", "HP"};
constexpr std::array<std::string_view, 12> kFonts = {"B",  "I",  "BR", "RB", "IR", "RI",
                                                     "BI", "IB", "SM", "SB", "MR", "R"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kVerbatim = {
    {{"nf", "fi"}, {"EX", "EE"}, {"TS", "TE"}, {"SY", "YS"}, {"de", "."}, {"ig", "."}}};

template <typename Set>
bool Contains(const Set& set, std::string_view name) {
  return std::find(set.begin(), set.end(), name) != set.end();
}

// What \(xx or \[xx] stands for; empty if unknown.
std::string_view Glyph(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 25> kGlyphs = {{
      {"aq", "'"}, {"dq", "\""}, {"bu", "•"}, {"em", "—"}, {"en", "–"}, {"co", "©"}, {"rs", "\\"},
      {"ti", "~"}, {"ha", "^"},  {"lq", "“"}, {"rq", "”"}, {"oq", "‘"}, {"cq", "’"}, {"ga", "`"},
      {"mu", "×"}, {"+-", "±"},  {"<=", "≤"}, {">=", "≥"}, {"->", "→"}, {":a", "ä"}, {":o", "ö"},
      {":u", "ü"}, {"ss", "ß"},  {"Fo", "«"}, {"Fc", "»"},
  }};
  const auto found = std::find_if(kGlyphs.begin(), kGlyphs.end(), [&](const auto& g) { return g.first == name; });
  return found == kGlyphs.end() ? std::string_view() : found->second;
}

// Reads one escape; `rest` stands behind the backslash. False if it is unknown.
bool AppendEscape(std::string_view* rest, std::string* text) {
  const auto take = [&](size_t n) {
    const std::string_view taken = rest->substr(0, n);
    rest->remove_prefix(std::min(n, rest->size()));
    return taken;
  };
  const auto bracketed = [&] {
    const size_t end = rest->find(']');
    const std::string_view name = end == std::string_view::npos ? std::string_view() : rest->substr(0, end);
    take(end == std::string_view::npos ? rest->size() : end + 1);
    return name;
  };
  if (rest->empty()) return true;
  const char c = take(1)[0];
  if (std::string_view("&,/|^:%c)").find(c) != std::string_view::npos) return true;
  if (c == '-' || c == ' ' || c == '~' || c == '.' || c == '\'' || c == 'e') {
    *text += c == '~' ? ' ' : c == 'e' ? '\\' : c;
    return true;
  }
  if (c == 'f' || c == 's') {  // font, size
    if (rest->starts_with('[')) {
      take(1);
      bracketed();
    } else if (rest->starts_with('(')) {
      take(3);
    } else if (c == 's' && (rest->starts_with('-') || rest->starts_with('+'))) {
      take(2);
    } else {
      take(1);
    }
    return true;
  }
  if (c != '(' && c != '[') return false;
  const std::string_view glyph = Glyph(c == '(' ? take(2) : bracketed());
  text->append(glyph);
  return !glyph.empty();
}

// Text of an input line without escapes.
std::string Plain(std::string_view line, bool* unfit) {
  std::string text;
  while (!line.empty()) {
    const size_t at = line.find('\\');
    text += line.substr(0, at);
    if (at == std::string_view::npos) break;
    line.remove_prefix(at + 1);
    if (line.starts_with('"')) break;  // a comment
    if (!AppendEscape(&line, &text)) *unfit = true;
  }
  return text;
}

// A macro's arguments: parted by spaces, or in quotes.
std::vector<std::string_view> Arguments(std::string_view line) {
  std::vector<std::string_view> arguments;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty()) return arguments;
    const bool quoted = line[0] == '"';
    if (quoted) line.remove_prefix(1);
    size_t end = 0;
    while (end < line.size() && line[end] != (quoted ? '"' : ' ')) end += line[end] == '\\' ? 2 : 1;
    end = std::min(end, line.size());
    arguments.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
}

class Scanner {
 public:
  std::vector<Block> Read(std::string_view page) {
    for (const std::string_view line : model::Lines(page)) {
      if (!until_.empty()) {
        if (MacroName(line) == until_) until_ = {};
      } else if (line.starts_with('.') || line.starts_with('\'')) {
        Macro(line);
      } else {
        Text(line.starts_with(' ') ? std::string_view() : line);
        if (line.starts_with(' ')) current_.unfit = true;  // laid out by hand
      }
    }
    Flush("");
    return std::move(blocks_);
  }

 private:
  static std::string_view MacroName(std::string_view line) {
    if (line.empty()) return {};
    line.remove_prefix(1);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return line.substr(0, line.find_first_of(" \t"));
  }

  void Text(std::string_view line) {
    current_.text += ' ' + Plain(line, &current_.unfit);
    EndTag();
  }

  // The line after .TP is the tag of an item; what follows is the item.
  void EndTag() {
    if (!tag_) return;
    tag_ = false;
    Flush("TP-body");
  }

  void Macro(std::string_view line) {
    const std::string_view name = MacroName(line);
    if (name.empty() || name.starts_with("\\\"")) return;
    const size_t at = line.find(name) + name.size();
    const std::vector<std::string_view> arguments = Arguments(line.substr(at));
    const auto verbatim =
        std::find_if(kVerbatim.begin(), kVerbatim.end(), [&](const auto& pair) { return pair.first == name; });
    if (verbatim != kVerbatim.end()) {
      Flush("");
      until_ = verbatim->second;
    } else if (name == "SH" || name == "SS") {
      Flush(std::string(name));
      current_.heading = true;
      for (const std::string_view word : arguments) current_.text += ' ' + Plain(word, &current_.unfit);
      if (!arguments.empty()) Flush("");
    } else if (name == "TP") {
      Flush("TP");
      tag_ = true;
    } else if (Contains(kParagraphs, name)) {
      Flush(name == "P" || name == "LP" ? "PP" : std::string(name));
    } else if (Contains(kFonts, name)) {
      const bool alternating = name.size() == 2 && name != "SM" && name != "SB";
      current_.text += ' ';
      for (size_t i = 0; i < arguments.size(); ++i) {
        if (i > 0 && !alternating) current_.text += ' ';
        current_.text += Plain(arguments[i], &current_.unfit);
      }
      EndTag();
    } else if (name == "UE" || name == "ME") {
      if (!arguments.empty()) current_.text += Plain(arguments[0], &current_.unfit);
    } else if (name == "UR" || name == "MT" || name == "if" || name == "ie" || name == "el" || name == "so") {
      current_.unfit = true;
    }
  }

  void Flush(const std::string& next_kind) {
    current_.text = Tidied(current_.text);
    if (!current_.text.empty()) blocks_.push_back(std::move(current_));
    current_ = Block{.kind = next_kind};
  }

  std::vector<Block> blocks_;
  Block current_;
  bool tag_ = false;
  std::string_view until_;  // the macro that ends what is being left out
};

}  // namespace

std::vector<Block> ManBlocks(std::string_view page) { return Scanner().Read(page); }

}  // namespace strata::data
