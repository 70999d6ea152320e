// Blocks of HTML and of XML that is like it.
#include <algorithm>
#include <array>
#include <charconv>

#include "worker/data/markup.h"

namespace strata::data {
namespace {

constexpr std::array<std::string_view, 17> kBlocks = {
    "p", "li", "dt", "dd", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "title", "caption", "desc", "header", "div"};
constexpr std::array<std::string_view, 8> kSkipped = {"script",     "style", "pre",     "screen",
                                                      "code-block", "nav",   "comment", "listing"};

template <typename Set>
bool Contains(const Set& set, std::string_view name) {
  return std::find(set.begin(), set.end(), name) != set.end();
}

struct Tag {
  std::string name;
  std::string_view attributes;
  bool closing = false, empty = false;
};

// `inside` is what stands between < and >.
Tag ReadTag(std::string_view inside) {
  Tag tag;
  tag.closing = inside.starts_with('/');
  if (tag.closing) inside.remove_prefix(1);
  tag.empty = inside.ends_with('/');
  const size_t end = std::min(inside.find_first_of(" \t\r\n/"), inside.size());
  for (const char c : inside.substr(0, end)) tag.name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  tag.attributes = inside.substr(end);
  return tag;
}

std::string Attribute(std::string_view attributes, std::string_view name) {
  const std::string key = " " + std::string(name) + "=\"";
  const size_t at = attributes.find(key);
  if (at == std::string_view::npos) return "";
  const size_t start = at + key.size();
  return std::string(attributes.substr(start, attributes.find('"', start) - start));
}

void AppendCodePoint(uint32_t code, std::string* text) {
  if (code < 0x80) {
    *text += static_cast<char>(code);
  } else if (code < 0x800) {
    *text += static_cast<char>(0xc0 | code >> 6);
    *text += static_cast<char>(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *text += static_cast<char>(0xe0 | code >> 12);
    *text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    *text += static_cast<char>(0x80 | (code & 0x3f));
  } else {
    *text += static_cast<char>(0xf0 | code >> 18);
    *text += static_cast<char>(0x80 | (code >> 12 & 0x3f));
    *text += static_cast<char>(0x80 | (code >> 6 & 0x3f));
    *text += static_cast<char>(0x80 | (code & 0x3f));
  }
}

class Scanner {
 public:
  std::vector<Block> Read(std::string_view html) {
    while (!html.empty()) {
      const size_t open = html.find('<');
      if (skipped_.empty()) Text(html.substr(0, open));
      if (open == std::string_view::npos) break;
      html.remove_prefix(open);
      const bool comment = html.starts_with("<!--");
      const size_t close = comment ? html.find("-->") : html.find('>');
      if (close == std::string_view::npos) break;
      if (!comment && html[1] != '!' && html[1] != '?') Apply(ReadTag(html.substr(1, close - 1)));
      html.remove_prefix(close + (comment ? 3 : 1));
    }
    Flush();
    return std::move(blocks_);
  }

 private:
  void Text(std::string_view text) {
    while (!text.empty()) {
      const size_t at = text.find('&');
      current_.text += text.substr(0, at);
      if (at == std::string_view::npos) break;
      text.remove_prefix(at + 1);
      const size_t end = text.find(';');
      if (end == std::string_view::npos || end > 10 || !AppendEntity(text.substr(0, end), &current_.text)) {
        current_.unfit = true;
        continue;
      }
      text.remove_prefix(end + 1);
    }
  }

  void Apply(const Tag& tag) {
    if (!skipped_.empty()) {
      if (tag.closing && tag.name == skipped_) skipped_.clear();
    } else if (Contains(kSkipped, tag.name)) {
      Flush();
      if (!tag.closing && !tag.empty) skipped_ = tag.name;
    } else if (Contains(kBlocks, tag.name)) {
      Flush();
      if (!tag.closing) Open(tag);
    } else if (tag.name == "br") {
      current_.text += ' ';
    } else if (tag.attributes.find("switchinline") != std::string_view::npos ||
               tag.attributes.find("hidden=\"true\"") != std::string_view::npos) {
      current_.unfit = true;
    }
  }

  void Open(const Tag& tag) {
    current_.kind = tag.name;
    current_.id = Attribute(tag.attributes, "id");
    current_.heading = tag.name == "title" || (tag.name.size() == 2 && tag.name[0] == 'h');
    current_.unfit = Attribute(tag.attributes, "class").find("code") != std::string::npos;
  }

  void Flush() {
    current_.text = Tidied(current_.text);
    if (!current_.text.empty()) blocks_.push_back(std::move(current_));
    current_ = Block{.kind = "text"};
  }

  std::vector<Block> blocks_;
  Block current_{.kind = "text"};
  std::string skipped_;  // the element that is being left out, if any
};

}  // namespace

bool AppendEntity(std::string_view name, std::string* text) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 19> kNamed = {{
      {"amp", "&"},   {"lt", "<"},     {"gt", ">"},   {"quot", "\""}, {"apos", "'"},  {"nbsp", " "},  {"auml", "ä"},
      {"ouml", "ö"},  {"uuml", "ü"},   {"Auml", "Ä"}, {"Ouml", "Ö"},  {"Uuml", "Ü"},  {"szlig", "ß"}, {"ndash", "–"},
      {"mdash", "—"}, {"hellip", "…"}, {"copy", "©"}, {"laquo", "«"}, {"raquo", "»"},
  }};
  if (name.starts_with('#')) {
    const bool hex = name.size() > 1 && (name[1] | 0x20) == 'x';
    const std::string_view digits = name.substr(hex ? 2 : 1);
    uint32_t code = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
    const bool valid = parsed.ec == std::errc() && code >= 0x20 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    if (valid) AppendCodePoint(code, text);
    return valid;
  }
  const auto found = std::find_if(kNamed.begin(), kNamed.end(), [&](const auto& n) { return n.first == name; });
  if (found != kNamed.end()) text->append(found->second);
  return found != kNamed.end();
}

std::vector<Block> HtmlBlocks(std::string_view html) { return Scanner().Read(html); }

}  // namespace strata::data
