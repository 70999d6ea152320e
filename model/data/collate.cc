#include "model/data/collate.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace strata::model {

Batch Collate(const SentencePairs& pairs, std::span<const uint32_t> sentences) {
  size_t source_longest = 0, target_longest = 0;
  Batch batch{.sentences = static_cast<int64_t>(sentences.size())};
  for (const uint32_t sentence : sentences) {
    source_longest = std::max(source_longest, pairs.Source(sentence).size() + 1);
    target_longest = std::max(target_longest, pairs.Target(sentence).size() + 1);
    batch.target_tokens += static_cast<int64_t>(pairs.Target(sentence).size()) + 1;
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
    *std::ranges::copy(pairs.Source(sentence), source).out = kEos;
    *std::ranges::copy(pairs.Target(sentence), target).out = kEos;
    *input = kEos;
    std::ranges::copy(pairs.Target(sentence), input + 1);
    source += source_T;
    input += target_T;
    target += target_T;
  }
  return batch;
}

Batch ToDevice(Batch batch, const at::Device& device) {
  if (device.is_cpu()) return batch;
  for (at::Tensor* tensor : {&batch.source_BS, &batch.target_input_BT, &batch.target_BT}) {
    *tensor = tensor->pin_memory().to(device, /*non_blocking=*/true);
  }
  return batch;
}

}  // namespace strata::model
