#include "worker/data/tokenizer.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <unordered_map>

#include "model/data/file.h"

namespace strata::data {
namespace {

using model::DataError;

// All lines of all texts, one after another.
class LineIterator final : public sentencepiece::SentenceIterator {
 public:
  explicit LineIterator(Texts texts) : texts_(texts) { Settle(); }
  bool done() const override { return text_ == texts_.size(); }
  void Next() override {
    ++line_;
    Settle();
  }
  const std::string& value() const override { return value_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  // Goes on to the next text where this one is at its end.
  void Settle() {
    while (text_ < texts_.size() && line_ >= texts_[text_].size()) {
      ++text_;
      line_ = 0;
    }
    if (!done()) value_ = texts_[text_][line_];
  }
  Texts texts_;
  size_t text_ = 0, line_ = 0;
  std::string value_;
};

std::string Number(double value) {
  std::string text = std::to_string(value);
  for (char& c : text) c = c == ',' ? '.' : c;
  return text;
}

// SentencePiece's complaint about a size, as a sentence; its own words where it says something else.
std::string WhyNoVocabulary(const VocabularyOptions& options, const std::string& complaint) {
  const std::string what = "Cannot make a vocabulary of " + model::Grouped(static_cast<uint64_t>(options.size)) +
                           " pieces (" + options.kind + ") out of this text: ";
  const size_t at = complaint.find("<= ");
  if (complaint.find("too high") != std::string::npos && at != std::string::npos) {
    const uint64_t most = std::strtoull(complaint.c_str() + at + 3, nullptr, 10);
    return what + "it gives at most " + model::Grouped(most) + ". Ask for --vocabulary " + std::to_string(most) +
           " or less, or give more text.";
  }
  const size_t versus = complaint.find(" vs ");
  if (complaint.find("required_chars") != std::string::npos && versus != std::string::npos) {
    const uint64_t least = std::strtoull(complaint.c_str() + versus + 4, nullptr, 10);
    return what + "its characters alone are " + model::Grouped(least) + ". Ask for --vocabulary " +
           std::to_string(least) + " or more, or for a lower --character-coverage.";
  }
  return what + complaint + ". Ask for another --vocabulary, or give more text.";
}

}  // namespace

std::string TrainVocabulary(Texts texts, const VocabularyOptions& options) {
  LineIterator lines(texts);
  if (lines.done()) throw DataError("There is no text to train a vocabulary on.");
  std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options.kind},
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
  if (options.size > 0) {
    arguments["vocab_size"] = std::to_string(options.size);
  } else {
    arguments["use_all_vocab"] = "true";
  }
  sentencepiece::SetRandomGeneratorSeed(options.seed);
  std::string serialised;
  const auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &lines, &serialised);
  if (!status.ok()) throw DataError(WhyNoVocabulary(options, status.message()));
  // Of characters, SentencePiece makes fewer pieces without a word.
  const size_t made = options.kind == "char" ? Tokenizer(serialised).Pieces().size() : 0;
  if (made > 0 && options.size > static_cast<int>(made)) {
    throw DataError(WhyNoVocabulary(options, "too high, <= " + std::to_string(made)));
  }
  return serialised;
}

std::string TrainVocabulary(std::span<const std::span<const std::string>> texts, const VocabularyOptions& options) {
  std::vector<std::vector<std::string_view>> lines;
  for (const auto& text : texts) lines.emplace_back(text.begin(), text.end());
  const std::vector<std::span<const std::string_view>> views(lines.begin(), lines.end());
  return TrainVocabulary(views, options);
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
