// Vocabularies of whole words, and of subwords that the text brings with it: what stands between spaces is one piece.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker/data/vocabulary.h"

namespace strata::data {

// The runs of a line that hold none of ASCII's space characters (space, \t, \n, \v, \f, \r): what a language model's
// perplexity per word counts as words.
std::vector<std::string_view> AsciiWords(std::string_view line);

// A dictionary as fairseq writes it ("word count" a line, the first line is id 4): the words of all texts by falling
// count, equals by their bytes; at most options.size - 4 of them, none rarer than options.min_count. Throws
// model::DataError where there are fewer than options.size asks for, or none.
std::string CountWords(Texts texts, const VocabularyOptions& options);

// Reads such a dictionary. Behind every piece a word ends, but for those of `split` text that end with `@@`. A word
// that is not in it, and the names of the control pieces (WikiText's <unk>), are the unknown piece.
class WordVocabulary final : public Vocabulary {
 public:
  // Throws model::DataError naming `where` and the line that is not "word count", is there twice or is not UTF-8.
  WordVocabulary(const std::string& dictionary, bool split, const std::string& where);
  WordVocabulary(const WordVocabulary&) = delete;
  WordVocabulary& operator=(const WordVocabulary&) = delete;

  std::vector<int32_t> Encode(std::string_view line) const override;
  std::vector<model::Piece> Pieces() const override;

 private:
  void Add(std::string_view line, const std::string& where);

  bool split_;
  std::vector<std::string> words_;  // by id - 4
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view word) const { return std::hash<std::string_view>()(word); }
  };
  std::unordered_map<std::string, int32_t, Hash, std::equal_to<>> ids_;
};

}  // namespace strata::data
