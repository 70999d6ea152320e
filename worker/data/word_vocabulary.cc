#include "worker/data/word_vocabulary.h"

#include <algorithm>
#include <array>

#include "model/data/file.h"
#include "model/metrics/text.h"
#include "worker/data/text_file.h"

namespace strata::data {
namespace {

using model::DataError;
using model::Grouped;

constexpr std::array<std::string_view, 4> kControls = {"<s>", "<pad>", "</s>", "<unk>"};
constexpr std::string_view kOverwrite = " #fairseq:overwrite";
constexpr std::string_view kContinues = "@@";

bool IsControl(std::string_view word) { return std::find(kControls.begin(), kControls.end(), word) != kControls.end(); }

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

std::vector<std::string_view> AsciiWords(std::string_view line) {
  std::vector<std::string_view> words;
  for (size_t at = 0; at < line.size();) {
    while (at < line.size() && IsSpace(line[at])) ++at;
    const size_t begin = at;
    while (at < line.size() && !IsSpace(line[at])) ++at;
    if (at > begin) words.push_back(line.substr(begin, at - begin));
  }
  return words;
}

std::string CountWords(Texts texts, const VocabularyOptions& options) {
  std::unordered_map<std::string_view, uint64_t> counts;
  for (const auto& text : texts) {
    for (const std::string_view line : text) {
      for (const std::string_view word : AsciiWords(line)) ++counts[word];
    }
  }
  std::vector<std::pair<std::string_view, uint64_t>> words;
  for (const auto& entry : counts) {
    if (entry.second >= options.min_count && !IsControl(entry.first)) words.push_back(entry);
  }
  const std::string rarely =
      options.min_count > 1 ? " that stand there " + Grouped(options.min_count) + " times or more" : "";
  if (words.empty()) throw DataError("There are no words" + rarely + " to make a vocabulary of. Give more text.");
  const auto wanted = static_cast<size_t>(std::max(0, options.size - static_cast<int>(kControls.size())));
  if (options.size > 0 && wanted > words.size()) {
    const size_t most = words.size() + kControls.size();
    throw DataError("Cannot make a vocabulary of " + Grouped(static_cast<uint64_t>(options.size)) +
                    " pieces: the text has only " + Grouped(words.size()) + " different words" + rarely +
                    ". Ask for --vocabulary " + std::to_string(most) +
                    " or less, or for 0 to take all; or give more text.");
  }
  std::sort(words.begin(), words.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  if (options.size > 0) words.resize(wanted);
  std::string dictionary;
  for (const auto& [word, count] : words)
    dictionary.append(word).append(" ").append(std::to_string(count)).append("\n");
  return dictionary;
}

WordVocabulary::WordVocabulary(const std::string& dictionary, bool split, const std::string& where) : split_(split) {
  size_t line_number = 0;
  for (std::string_view line : model::Lines(dictionary)) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    Add(line, where + ":" + std::to_string(++line_number));
  }
  if (words_.empty())
    throw DataError(where + " holds no words. A dictionary has a line 'word count' for each of them.");
}

void WordVocabulary::Add(std::string_view line, const std::string& where) {
  const bool overwrite =
      line.ends_with(kOverwrite);  // fairseq's: the word is there already, and is this one from here on
  if (overwrite) line.remove_suffix(kOverwrite.size());
  const size_t space = line.rfind(' ');
  const std::string_view count = space == std::string_view::npos ? "" : line.substr(space + 1);
  const bool number = !count.empty() && count.find_first_not_of("0123456789") == std::string_view::npos;
  const std::string_view word = line.substr(0, number ? space : 0);
  if (AsciiWords(word).size() != 1 || AsciiWords(word)[0] != word) {
    throw DataError(where + ": '" + std::string(line) + "' is not a word and its count, parted by a space.");
  }
  if (InvalidUtf8At(word) != std::string_view::npos) throw DataError(where + ": not valid UTF-8.");
  const auto id = static_cast<int32_t>(kControls.size() + words_.size());
  if (IsControl(word) && !overwrite) {
    throw DataError(where + ": " + std::string(word) +
                    " is a control piece, which has an id of its own. Drop the line.");
  }
  words_.emplace_back(word);
  const auto [place, is_new] = ids_.emplace(word, id);
  if (!is_new && !overwrite) {
    throw DataError(where + ": '" + std::string(word) + "' is there already as id " + std::to_string(place->second) +
                    ". Drop one of the two lines.");
  }
  place->second = id;
}

std::vector<int32_t> WordVocabulary::Encode(std::string_view line) const {
  std::vector<int32_t> ids;
  for (const std::string_view word : AsciiWords(line)) {
    const auto found = ids_.find(word);
    ids.push_back(found == ids_.end() ? model::kUnkId : found->second);
  }
  return ids;
}

std::vector<model::Piece> WordVocabulary::Pieces() const {
  std::vector<model::Piece> pieces;
  for (const std::string_view control : kControls) {
    pieces.push_back({std::string(control), model::PieceKind::kControl});
  }
  pieces[model::kUnkId].kind = model::PieceKind::kUnknown;
  for (const std::string_view word : words_) {
    const bool continues = split_ && word.size() > kContinues.size() && word.ends_with(kContinues);
    pieces.push_back({std::string(continues ? word.substr(0, word.size() - kContinues.size()) : word),
                      continues ? model::PieceKind::kNormal : model::PieceKind::kWordEnd});
  }
  return pieces;
}

}  // namespace strata::data
