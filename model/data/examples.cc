#include "model/data/examples.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/data/sentence_pairs.h"

namespace strata::model {

namespace {

class PairExamples final : public Examples {
 public:
  explicit PairExamples(SentencePairs pairs) : pairs_(std::move(pairs)) {}

  size_t size() const override { return pairs_.size(); }
  std::vector<int32_t> Sizes(int stream) const override { return pairs_.Sizes(stream); }
  void CountTargets(std::vector<uint64_t>& counts) const override { pairs_.CountTargets(counts); }
  uint64_t left_out() const override { return pairs_.left_out(); }
  const std::vector<Piece>& pieces() const override { return pairs_.pieces(); }

  Batch Collate(std::span<const uint32_t> sentences) const override {
    size_t source_longest = 0, target_longest = 0;
    Batch batch{.sentences = static_cast<int64_t>(sentences.size())};
    for (const uint32_t sentence : sentences) {
      source_longest = std::max(source_longest, pairs_.Source(sentence).size() + 1);
      target_longest = std::max(target_longest, pairs_.Target(sentence).size() + 1);
      batch.target_tokens += static_cast<int64_t>(pairs_.Target(sentence).size()) + 1;
    }
    const auto rows = batch.sentences, source_T = static_cast<int64_t>(source_longest),
               target_T = static_cast<int64_t>(target_longest);
    batch.source_BS = at::full({rows, source_T}, kPad, at::kLong);
    batch.target_input_BT = at::full({rows, target_T}, kPad, at::kLong);
    batch.target_BT = at::full({rows, target_T}, kPad, at::kLong);
    auto* source = batch.source_BS.mutable_data_ptr<int64_t>();
    auto* input = batch.target_input_BT.mutable_data_ptr<int64_t>();
    auto* target = batch.target_BT.mutable_data_ptr<int64_t>();
    for (const uint32_t sentence : sentences) {
      *std::ranges::copy(pairs_.Source(sentence), source).out = kEos;
      *std::ranges::copy(pairs_.Target(sentence), target).out = kEos;
      *input = kEos;
      std::ranges::copy(pairs_.Target(sentence), input + 1);
      source += source_T;
      input += target_T;
      target += target_T;
    }
    return batch;
  }

 private:
  SentencePairs pairs_;
};

}  // namespace

std::unique_ptr<Examples> OpenSentencePairs(const std::filesystem::path& folder, const Manifest& manifest,
                                            const std::string& split, const ExampleOptions& options) {
  return std::make_unique<PairExamples>(
      SentencePairs(OpenSplit(folder, manifest, split), options.limit, options.max_length));
}

}  // namespace strata::model
