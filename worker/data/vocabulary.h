// Vocabularies of every kind behind one door: what makes ids of a line of text (docs/DATASETS.md, `vocabulary.kind`).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/data/shard.h"

namespace strata::data {

struct VocabularyOptions {
  std::string kind = "bpe";         // unigram, char: SentencePiece; words; split
  int size = 8000;                  // pieces, the four control pieces included; 0 (not bpe, unigram): all there are
  double character_coverage = 1.0;  // SentencePiece: share of the characters that get a piece of their own
  std::string normalization = "nmt_nfkc";  // a rule of SentencePiece: nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf, identity
  bool byte_fallback = false;              // SentencePiece: unknown characters become byte pieces
  uint64_t sentences = 0;                  // SentencePiece: train on a random choice of so many lines; 0: on all
  uint32_t seed = 1;                       // of that choice
  uint64_t min_count = 1;                  // words, split: what is rarer is unknown
};

// Safe to use from many threads.
class Vocabulary {
 public:
  virtual ~Vocabulary() = default;
  // Without bos and eos.
  virtual std::vector<int32_t> Encode(std::string_view line) const = 0;
  // By id; the first four are the control pieces of model/data/shard.h.
  virtual std::vector<model::Piece> Pieces() const = 0;
};

using Texts = std::span<const std::span<const std::string_view>>;  // texts of lines

// The content of a vocabulary's file, made of all the lines together: the same for the same lines and options. Throws
// model::DataError, with what to change, where the text does not give so many pieces.
std::string MakeVocabulary(Texts texts, const VocabularyOptions& options);

// Of such a file. Throws model::DataError where the content is not of that kind; `where` names it.
std::unique_ptr<Vocabulary> OpenVocabulary(const std::string& kind, const std::string& content,
                                           const std::string& where);

// Its name within a dataset: vocabulary.model (SentencePiece) or vocabulary.txt (a piece and its count a line).
std::string VocabularyFileName(const std::string& kind);

// The kinds, the default one first.
const std::vector<std::string>& VocabularyKinds();
bool MadeBySentencePiece(const std::string& kind);

}  // namespace strata::data
