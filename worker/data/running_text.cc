#include "worker/data/running_text.h"

#include <algorithm>
#include <tuple>
#include <unordered_set>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/metrics/text.h"
#include "worker/data/parallel_text.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

constexpr size_t kFewestWords = 5;
constexpr std::string_view kOpening = "([{\"'`", kClosing = ".,;:!?)]}\"'";

bool IsIn(char c, std::string_view set) { return set.find(c) != std::string_view::npos; }

// "e.g.", "U.S." and "J." keep their last dot.
bool KeepsDot(std::string_view word) {
  const std::string_view before = word.substr(0, word.size() - 1);
  return before.find('.') != std::string_view::npos || (before.size() == 1 && before[0] >= 'A' && before[0] <= 'Z');
}

void AppendToken(std::string_view token, std::string* line) {
  if (token.empty()) return;
  if (!line->empty()) *line += ' ';
  *line += token;
}

void AppendWord(std::string_view word, std::string* line) {
  while (!word.empty() && IsIn(word[0], kOpening)) {
    AppendToken(word.substr(0, 1), line);
    word.remove_prefix(1);
  }
  std::string_view end = word;
  while (!end.empty() && IsIn(end.back(), kClosing) && !(end.back() == '.' && KeepsDot(end))) end.remove_suffix(1);
  const std::string_view closing = word.substr(end.size());
  if (end.size() > 2 && end.ends_with("'s")) {
    AppendToken(end.substr(0, end.size() - 2), line);
    AppendToken("'s", line);
  } else {
    AppendToken(end, line);
  }
  for (size_t i = 0; i < closing.size(); ++i) AppendToken(closing.substr(i, 1), line);
}

// Pod's formatting codes: C<text>, L<text|target>, C<< text >>. What is nested is read the same way.
std::string WithoutCodes(std::string_view text) {
  std::string plain;
  std::vector<std::pair<std::string, char>> open;  // what closes each code, and the code
  for (size_t i = 0; i < text.size();) {
    if (i + 1 < text.size() && text[i] >= 'A' && text[i] <= 'Z' && text[i + 1] == '<') {
      size_t marks = i + 1;
      while (marks < text.size() && text[marks] == '<') ++marks;
      open.emplace_back(std::string(marks - i - 1, '>'), text[i]);
      i = marks;
    } else if (!open.empty() && text.substr(i).starts_with(open.back().first)) {
      i += open.back().first.size();
      open.pop_back();
    } else if (!open.empty() && open.back().second == 'L' && text[i] == '|') {
      const size_t close = text.find(open.back().first, i);  // the target of a link
      i = close == std::string_view::npos ? text.size() : close;
    } else if (!open.empty() && (open.back().second == 'X' || open.back().second == 'E')) {
      ++i;  // an index entry, an escape
    } else {
      plain += text[i++];
    }
  }
  return plain;
}

// Takes out what stands between two marks within a line's length, marks included.
std::string Without(std::string_view text, std::string_view begin, std::string_view end, size_t longest) {
  std::string left;
  for (size_t at = 0; at < text.size();) {
    const size_t from = text.find(begin, at);
    const size_t to = from == std::string_view::npos ? from : text.find(end, from + begin.size());
    if (to == std::string_view::npos) return left.append(text.substr(at));
    const bool taken = to - from <= longest;
    left += text.substr(at, taken ? from - at : from + begin.size() - at);
    at = taken ? to + end.size() : from + begin.size();
  }
  return left;
}

std::string DictionaryParagraph(std::string_view text) {
  std::string plain = Without(text, "\\", "\\", 60);  // a pronunciation
  plain = Without(plain, "[", "]", 400);              // sources, etymologies, labels
  plain = Without(plain, "<", ">", 60);               // fields
  std::erase_if(plain, [](char c) { return c == '{' || c == '}' || c == '`' || c == '*'; });
  return Tidied(plain);
}

bool HasLetters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; });
}

bool HasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

// Why a tokenised paragraph is not used; empty if it is. Headings may be short.
std::string Fault(std::string_view line) {
  if (!HasLetters(line)) return "no letters";
  if (HasControls(line)) return "control characters";
  if (!line.starts_with("= ") && model::SplitAtSpaces(line).size() < kFewestWords) return "short";
  return "";
}

// The paragraphs of one split's documents that stand in none seen before; headings may come again.
std::vector<std::string> LinesOf(const std::vector<const TextDocument*>& documents, std::unordered_set<uint64_t>* seen,
                                 std::map<std::string, uint64_t>* dropped) {
  std::vector<std::string> lines;
  for (const TextDocument* document : documents) {
    const size_t before = lines.size();
    bool text = false;
    for (const std::string& paragraph : document->paragraphs) {
      std::string line = Tokenised(paragraph);
      const bool heading = line.starts_with("= ");
      std::string fault = Fault(line);
      if (fault.empty() && !heading && !seen->insert(XXH3_64bits(line.data(), line.size())).second) fault = "double";
      if (fault.empty()) {
        text = text || !heading;
        lines.push_back(std::move(line));
      } else {
        ++(*dropped)[fault];
      }
    }
    if (text) {
      lines.emplace_back();
    } else {
      lines.resize(before);
    }
  }
  return lines;
}

}  // namespace

std::string Tokenised(std::string_view paragraph) {
  std::string line;
  for (const std::string_view word : model::SplitAtSpaces(paragraph)) AppendWord(word, &line);
  return line;
}

std::vector<std::string> PodParagraphs(std::string_view pod) {
  std::vector<std::string> paragraphs;
  std::string paragraph;
  bool pod_text = true;  // a .pod file begins with it
  const auto finish = [&] {
    const std::string text = Tidied(WithoutCodes(paragraph));
    if (paragraph.starts_with("=cut")) {
      pod_text = false;
    } else if (paragraph.starts_with("=")) {
      pod_text = true;
      if (paragraph.starts_with("=head"))
        paragraphs.push_back("= " + text.substr(std::min<size_t>(7, text.size())) + " =");
    } else if (pod_text && !text.empty() && !paragraph.starts_with(' ') && !paragraph.starts_with('\t')) {
      paragraphs.push_back(text);
    }
    paragraph.clear();
  };
  for (const std::string_view line : model::Lines(pod)) {
    if (model::SplitAtSpaces(line).empty()) {
      finish();
    } else {
      paragraph.append(paragraph.empty() ? "" : " ").append(line);
    }
  }
  finish();
  return paragraphs;
}

std::vector<TextDocument> DictionaryEntries(std::string_view text, const std::string& name) {
  std::vector<TextDocument> entries;
  std::string paragraph;
  const auto finish = [&] {
    std::string plain = DictionaryParagraph(paragraph);
    if (!plain.empty() && !entries.empty()) entries.back().paragraphs.push_back(std::move(plain));
    paragraph.clear();
  };
  for (const std::string_view line : model::Lines(text)) {
    if (InvalidUtf8At(line) != std::string_view::npos) continue;
    if (model::SplitAtSpaces(line).empty()) {
      finish();
      continue;
    }
    if (line[0] != ' ' && paragraph.empty()) {
      const std::string_view headword = model::SplitAtSpaces(line)[0];
      entries.push_back({name + "/" + std::string(headword), {}});
    }
    paragraph.append(paragraph.empty() ? "" : " ").append(line);
  }
  finish();
  // The first entries are about the dictionary itself.
  std::erase_if(entries, [&](const TextDocument& entry) { return entry.name.starts_with(name + "/00-database"); });
  return entries;
}

void HoldOutOfFew(size_t each, std::vector<TextDocument>* documents) {
  std::vector<std::pair<uint64_t, TextDocument*>> order;
  for (TextDocument& document : *documents) {
    order.emplace_back(XXH3_64bits(document.name.data(), document.name.size()), &document);
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::tie(a.first, a.second->name) < std::tie(b.first, b.second->name);
  });
  for (size_t i = 0; i < order.size(); ++i) {
    order[i].second->held = i < each ? Held::kTest : i < 2 * each ? Held::kValid : Held::kTrain;
  }
}

SplitLinesOfText HoldOutText(const std::vector<TextDocument>& documents) {
  std::vector<const TextDocument*> train, valid, test;
  for (const TextDocument& document : documents) {
    const Held held = document.held ? *document.held : HeldOut(document.name);
    (held == Held::kTest ? test : held == Held::kValid ? valid : train).push_back(&document);
  }
  SplitLinesOfText split;
  std::unordered_set<uint64_t> seen;
  split.test = LinesOf(test, &seen, &split.dropped);
  split.valid = LinesOf(valid, &seen, &split.dropped);
  split.train = LinesOf(train, &seen, &split.dropped);
  return split;
}

}  // namespace strata::data
