// SentencePiece behind a small door: its vocabulary is trained and used here and nowhere else.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/data/shard.h"
#include "worker/data/vocabulary.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace strata::data {

// Trains on all lines together (bos 0, pad 1, eos 2, unk 3) and returns SentencePiece's serialised
// model, the same for the same lines and options. Throws model::DataError, with what to change.
std::string TrainVocabulary(Texts texts, const VocabularyOptions& options);
std::string TrainVocabulary(std::span<const std::span<const std::string>> texts, const VocabularyOptions& options);

// Safe to use from many threads.
class Tokenizer final : public Vocabulary {
 public:
  // Throws model::DataError when `model` is no SentencePiece model, or its control pieces have other ids than ours.
  explicit Tokenizer(const std::string& model);
  ~Tokenizer() override;

  std::vector<int32_t> Encode(std::string_view line) const override;
  std::string Decode(std::span<const int32_t> ids) const;  // SentencePiece's own, the reference for model::Detokenise
  std::vector<model::Piece> Pieces() const override;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace strata::data
