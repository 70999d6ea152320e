#include "worker/data/parallel_text.h"

#include <algorithm>
#include <array>
#include <set>
#include <unordered_set>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "model/data/file.h"
#include "model/metrics/text.h"

namespace strata::data {
namespace {

// Of each thousand documents, the first kTest are test, the next ones up to kHeldOut valid.
constexpr uint64_t kTest = 22, kHeldOut = 44;

constexpr std::array<std::string_view, 46> kAbbreviations = {
    "z.",    "B.",    "d.",   "h.",    "u.",   "a.",    "o.",   "i.",   "A.",   "bzw.",  "ca.", "usw.",
    "etc.",  "evtl.", "ggf.", "inkl.", "Nr.",  "Dr.",   "St.",  "vs.",  "e.g.", "i.e.",  "cf.", "approx.",
    "incl.", "resp.", "Mr.",  "Mrs.",  "Ms.",  "Prof.", "vgl.", "sog.", "Abk.", "engl.", "dt.", "max.",
    "min.",  "No.",   "no.",  "Fig.",  "Abb.", "Bd.",   "S.",   "E.g.", "Vol.", "Jr."};

bool IsAbbreviation(std::string_view word) {
  while (word.starts_with('(') || word.starts_with('"')) word.remove_prefix(1);
  return std::find(kAbbreviations.begin(), kAbbreviations.end(), word) != kAbbreviations.end();
}

// Does a word end a sentence, as far as can be told without the next one?
bool EndsSentence(std::string_view word) {
  while (word.ends_with(')') || word.ends_with('"') || word.ends_with('\'')) word.remove_suffix(1);
  if (word.ends_with('!') || word.ends_with('?')) return true;
  return word.ends_with('.') && !word.ends_with("..") && !IsAbbreviation(word);
}

bool StartsSentence(std::string_view word) {
  while (word.starts_with('(') || word.starts_with('"') || word.starts_with('\'')) word.remove_prefix(1);
  if (word.empty()) return false;
  const char c = word[0];
  const bool umlaut = word.starts_with("\xc3\x84") || word.starts_with("\xc3\x96") || word.starts_with("\xc3\x9c");
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || umlaut;
}

size_t Characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

bool HasLetters(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return (c & 0x80) != 0 || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'); });
}

bool HasControls(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

// Why a tidied pair is not used; empty if it is.
std::string Fault(const Pair& pair, PairKind kind) {
  if (pair.source.empty() || pair.target.empty()) return "empty";
  if (pair.source == pair.target) return "untranslated";
  if (!HasLetters(pair.source) || !HasLetters(pair.target)) return "no letters";
  if (HasControls(pair.source) || HasControls(pair.target)) return "control characters";
  if (pair.source.find("<trans>") != std::string::npos || pair.target.find("<trans>") != std::string::npos) {
    return "untranslated";
  }
  if (kind == PairKind::kHeadline) return pair.source.size() > pair.target.size() ? "" : "no longer than its headline";
  const double a = static_cast<double>(Characters(pair.source)) + 15,
               b = static_cast<double>(Characters(pair.target)) + 15;
  if (a > 2 * b || b > 2 * a) return "uneven lengths";
  return "";
}

// What two sentences have in common that are the same to a reader: ASCII case and punctuation at the ends go.
std::string Key(std::string_view text) {
  const auto edge = [](char c) { return (c & 0x80) == 0 && !std::isalnum(static_cast<unsigned char>(c)); };
  while (!text.empty() && edge(text.front())) text.remove_prefix(1);
  while (!text.empty() && edge(text.back())) text.remove_suffix(1);
  std::string key(text);
  std::transform(key.begin(), key.end(), key.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c | 0x20 : c; });
  return key;
}

struct Seen {
  std::unordered_set<std::string> sources, targets;
  bool Holds(const Pair& pair) const {
    return sources.contains(Key(pair.source)) || targets.contains(Key(pair.target));
  }
  void Add(const Pair& pair) {
    sources.insert(Key(pair.source));
    targets.insert(Key(pair.target));
  }
};

// Keeps the pairs that are neither doubles nor in `held_out`.
std::vector<Pair> Kept(std::vector<Pair> pairs, const Seen& held_out, uint64_t* doubles, uint64_t* leaks) {
  std::set<std::pair<std::string, std::string>> seen;
  std::vector<Pair> kept;
  for (Pair& pair : pairs) {
    if (held_out.Holds(pair)) {
      ++*leaks;
    } else if (!seen.emplace(pair.source, pair.target).second) {
      ++*doubles;
    } else {
      kept.push_back(std::move(pair));
    }
  }
  return kept;
}

}  // namespace

std::string Tidied(std::string_view text) {
  std::string tidied;
  for (const std::string_view word : model::SplitAtSpaces(text)) {
    if (!tidied.empty()) tidied += ' ';
    tidied += word;
  }
  return tidied;
}

std::vector<std::string> Sentences(std::string_view paragraph) {
  std::vector<std::string> sentences;
  std::string sentence;
  const std::vector<std::string_view> words = model::SplitAtSpaces(paragraph);
  for (size_t i = 0; i < words.size(); ++i) {
    if (!sentence.empty()) sentence += ' ';
    sentence += words[i];
    if (i + 1 == words.size() || (EndsSentence(words[i]) && StartsSentence(words[i + 1]))) {
      sentences.push_back(std::move(sentence));
      sentence.clear();
    }
  }
  return sentences;
}

void AddParagraph(std::string_view source, std::string_view target, std::vector<Pair>* pairs) {
  const std::vector<std::string> sources = Sentences(source), targets = Sentences(target);
  if (sources.size() != targets.size()) {
    pairs->push_back({Tidied(source), Tidied(target)});
    return;
  }
  for (size_t i = 0; i < sources.size(); ++i) pairs->push_back({sources[i], targets[i]});
}

Held HeldOut(std::string_view document) {
  const uint64_t place = XXH3_64bits(document.data(), document.size()) % 1000;
  return place < kTest ? Held::kTest : place < kHeldOut ? Held::kValid : Held::kTrain;
}

SplitPairs HoldOut(const std::vector<Document>& documents, PairKind kind) {
  SplitPairs splits;
  for (const Document& document : documents) {
    const Held held = HeldOut(document.name);
    std::vector<Pair>& split = held == Held::kTest ? splits.test : held == Held::kValid ? splits.valid : splits.train;
    for (const Pair& pair : document.pairs) {
      Pair tidied{Tidied(pair.source), Tidied(pair.target)};
      const std::string fault = Fault(tidied, kind);
      if (fault.empty()) {
        split.push_back(std::move(tidied));
      } else {
        ++splits.dropped[fault];
      }
    }
  }
  Seen held_out;
  uint64_t& doubles = splits.dropped["double"];
  uint64_t& leaks = splits.dropped["also held out"];
  for (std::vector<Pair>* split : {&splits.test, &splits.valid, &splits.train}) {
    *split = Kept(std::move(*split), held_out, &doubles, &leaks);
    for (const Pair& pair : *split) held_out.Add(pair);
  }
  return splits;
}

void WriteParallelText(const std::filesystem::path& folder, const SplitPairs& splits, const std::string& source_ending,
                       const std::string& target_ending) {
  for (const auto& [name, pairs] :
       {std::pair{"train", &splits.train}, {"valid", &splits.valid}, {"test", &splits.test}}) {
    std::string source, target;
    for (const Pair& pair : *pairs) {
      source.append(pair.source).append("\n");
      target.append(pair.target).append("\n");
    }
    model::WriteFileAtomically(folder / (std::string(name) + "." + source_ending), source);
    model::WriteFileAtomically(folder / (std::string(name) + "." + target_ending), target);
  }
}

}  // namespace strata::data
