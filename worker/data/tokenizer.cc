#include "worker/data/tokenizer.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <unordered_map>

#include "model/data/file.h"

namespace strata::data {
namespace {

using model::DataError;

// All lines of all texts, one after another.
class LineIterator final : public sentencepiece::SentenceIterator {
 public:
  explicit LineIterator(std::span<const std::span<const std::string>> texts) : texts_(texts) { SkipEmptyTexts(); }
  bool done() const override { return text_ == texts_.size(); }
  void Next() override {
    ++line_;
    SkipEmptyTexts();
  }
  const std::string& value() const override { return texts_[text_][line_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void SkipEmptyTexts() {
    while (text_ < texts_.size() && line_ >= texts_[text_].size()) {
      ++text_;
      line_ = 0;
    }
  }
  std::span<const std::span<const std::string>> texts_;
  size_t text_ = 0, line_ = 0;
};

std::string Number(double value) {
  std::string text = std::to_string(value);
  for (char& c : text) c = c == ',' ? '.' : c;
  return text;
}

}  // namespace

std::string TrainVocabulary(std::span<const std::span<const std::string>> texts, const VocabularyOptions& options) {
  LineIterator lines(texts);
  if (lines.done()) throw DataError("There is no text to train a vocabulary on.");
  std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options.kind},
      {"vocab_size", std::to_string(options.size)},
      {"character_coverage", Number(options.character_coverage)},
      {"normalization_rule_name", options.normalization},
      {"byte_fallback", options.byte_fallback ? "true" : "false"},
      {"bos_id", std::to_string(model::kBosId)},
      {"pad_id", std::to_string(model::kPadId)},
      {"eos_id", std::to_string(model::kEosId)},
      {"unk_id", std::to_string(model::kUnkId)},
      {"input_sentence_size", std::to_string(options.sentences)},
      {"max_sentence_length", "16384"},
      {"num_threads", "1"},
      {"minloglevel", "2"},
  };
  sentencepiece::SetRandomGeneratorSeed(options.seed);
  std::string serialised;
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &lines, &serialised);
  if (!status.ok()) {
    throw DataError("Cannot make a vocabulary of " + model::Grouped(options.size) + " pieces out of this text: " +
                    status.message() + ". Ask for another --vocabulary, or give more text.");
  }
  return serialised;
}

Tokenizer::Tokenizer(const std::string& model) : processor_(new sentencepiece::SentencePieceProcessor) {
  if (!processor_->LoadFromSerializedProto(model).ok()) throw DataError("This is no SentencePiece model.");
  if (processor_->bos_id() != model::kBosId || processor_->pad_id() != model::kPadId ||
      processor_->eos_id() != model::kEosId || processor_->unk_id() != model::kUnkId) {
    throw DataError(
        "This SentencePiece model has other control pieces than bos 0, pad 1, eos 2, unk 3. "
        "Train it with those ids, or let strata-data prepare make a vocabulary.");
  }
}

Tokenizer::~Tokenizer() = default;

std::vector<int32_t> Tokenizer::Encode(std::string_view line) const {
  std::vector<int32_t> ids;
  const auto status = processor_->Encode(line, &ids);
  if (!status.ok()) throw DataError(std::string("SentencePiece cannot encode a line: ") + status.message() + ".");
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids) const {
  std::string text;
  const auto status = processor_->Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  if (!status.ok()) throw DataError(std::string("SentencePiece cannot decode a line: ") + status.message() + ".");
  return text;
}

std::vector<model::Piece> Tokenizer::Pieces() const {
  std::vector<model::Piece> pieces;
  for (int id = 0; id < processor_->GetPieceSize(); ++id) {
    const auto kind = processor_->IsUnknown(id)   ? model::PieceKind::kUnknown
                      : processor_->IsControl(id) ? model::PieceKind::kControl
                      : processor_->IsUnused(id)  ? model::PieceKind::kUnused
                      : processor_->IsByte(id)    ? model::PieceKind::kByte
                                                  : model::PieceKind::kNormal;
    pieces.push_back({processor_->IdToPiece(id), kind});
  }
  return pieces;
}

}  // namespace strata::data
