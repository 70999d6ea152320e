#include "model/metrics/text.h"

namespace strata::model {

size_t SpaceAtFront(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned first = byte(0);
  if ((first >= 0x09 && first <= 0x0d) || (first >= 0x1c && first <= 0x20)) return text.empty() ? 0 : 1;
  if (first == 0xc2) return byte(1) == 0x85 || byte(1) == 0xa0 ? 2 : 0;  // U+0085, U+00A0
  if (first < 0xe1 || first > 0xe3) return 0;
  const unsigned code = (first & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
  if ((byte(1) & 0xc0) != 0x80 || (byte(2) & 0xc0) != 0x80) return 0;
  const bool space = code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x2028 || code == 0x2029 ||
                     code == 0x202f || code == 0x205f || code == 0x3000;
  return space ? 3 : 0;
}

std::vector<std::string_view> SplitAtSpaces(std::string_view text) {
  std::vector<std::string_view> words;
  size_t start = 0, at = 0;
  while (at < text.size()) {
    const size_t space = SpaceAtFront(text.substr(at));
    if (space == 0) {
      ++at;
      continue;
    }
    if (at > start) words.push_back(text.substr(start, at - start));
    at += space;
    start = at;
  }
  if (at > start) words.push_back(text.substr(start));
  return words;
}

std::string_view WithoutTrailingSpace(std::string_view text) {
  for (bool found = true; found;) {
    found = false;
    for (size_t length = 1; length <= 3 && length <= text.size() && !found; ++length) {
      found = SpaceAtFront(text.substr(text.size() - length)) == length;
      if (found) text.remove_suffix(length);
    }
  }
  return text;
}

std::vector<std::string_view> Lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace strata::model
