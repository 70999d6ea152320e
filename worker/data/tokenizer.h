// SentencePiece behind a small door: its vocabulary is trained and used here and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/data/shard.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace strata::data {

struct VocabularyOptions {
  std::string kind = "bpe";                // or unigram
  int size = 8000;                         // pieces, the four control pieces included
  double character_coverage = 1.0;         // share of the characters that get a piece of their own
  std::string normalization = "nmt_nfkc";  // a rule of SentencePiece: nmt_nfkc, nfkc, nmt_nfkc_cf, nfkc_cf, identity
  bool byte_fallback = false;              // unknown characters become byte pieces
  uint64_t sentences = 0;                  // train on a random choice of so many lines; 0: on all
  uint32_t seed = 1;                       // of that choice
};

// Trains on all lines together (bos 0, pad 1, eos 2, unk 3) and returns SentencePiece's serialised
// model, the same for the same lines and options. Throws model::DataError, with what to change.
std::string TrainVocabulary(std::span<const std::span<const std::string>> texts, const VocabularyOptions& options);

// Safe to use from many threads.
class Tokenizer {
 public:
  // Throws model::DataError when `model` is no SentencePiece model, or its control pieces have other ids than ours.
  explicit Tokenizer(const std::string& model);
  ~Tokenizer();

  std::vector<int32_t> Encode(std::string_view line) const;
  std::string Decode(std::span<const int32_t> ids) const;  // SentencePiece's own, the reference for model::Detokenise
  std::vector<model::Piece> Pieces() const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace strata::data
