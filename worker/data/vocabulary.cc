#include "worker/data/vocabulary.h"

#include <algorithm>

#include "worker/data/tokenizer.h"
#include "worker/data/word_vocabulary.h"

namespace strata::data {

const std::vector<std::string>& VocabularyKinds() {
  static const std::vector<std::string> kinds = {"bpe", "unigram", "char", "words", "split"};
  return kinds;
}

bool MadeBySentencePiece(const std::string& kind) { return kind == "bpe" || kind == "unigram" || kind == "char"; }

std::string VocabularyFileName(const std::string& kind) {
  return MadeBySentencePiece(kind) ? "vocabulary.model" : "vocabulary.txt";
}

std::string MakeVocabulary(Texts texts, const VocabularyOptions& options) {
  return MadeBySentencePiece(options.kind) ? TrainVocabulary(texts, options) : CountWords(texts, options);
}

std::unique_ptr<Vocabulary> OpenVocabulary(const std::string& kind, const std::string& content,
                                           const std::string& where) {
  const std::vector<std::string>& kinds = VocabularyKinds();
  if (std::find(kinds.begin(), kinds.end(), kind) == kinds.end()) {
    throw model::DataError(where + ": vocabulary kind '" + kind +
                           "' is unknown to this program. Use a newer strata-data, or prepare the dataset again.");
  }
  if (!MadeBySentencePiece(kind)) return std::make_unique<WordVocabulary>(content, kind == "split", where);
  try {
    return std::make_unique<Tokenizer>(content);
  } catch (const model::DataError& e) {
    throw model::DataError(where + ": " + e.what());
  }
}

}  // namespace strata::data
