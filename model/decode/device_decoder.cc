#include "model/decode/device_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/layers/device_path.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

constexpr int64_t kGatheredBytes = int64_t{256} << 20;  // keys and values of several hypotheses at once

at::Tensor Numbers(const std::vector<int64_t>& numbers, const at::Device& device) {
  return CopyTo(at::tensor(numbers, at::kLong), device);
}

}  // namespace

DeviceDecoder::DeviceDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                             const at::Tensor& memory_MD, const Packing& source)
    : IncrementalDecoder(config, stack, tables.target_VD, positions, source.batch),
      device_(memory_MD.device()),
      output_(Kept(tables.output_VD, {})) {
  const int64_t dim = config.dim, head_dim = dim / config.heads, batch = source.batch;
  const int64_t longest = std::max<int64_t>(1, batch == 0 ? 0 : *std::max_element(source.keys.begin(), source.keys.end()));
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < batch; ++b) {
    const auto sentence = static_cast<size_t>(b);
    const int64_t keys = source.keys[sentence];
    for (int64_t t = 0; t < longest; ++t) rows.push_back(keys == 0 ? 0 : source.keys_begin[sentence] + (t < keys ? t : 0));
  }
  const HeadPlaces memory(Numbers(rows, device_).view({batch, longest}), {}, config.heads);
  const at::Tensor keys = Numbers(source.keys, device_).view({batch, 1, 1, 1});
  memory_hidden_ = at::arange(longest, keys.options()).view({1, 1, 1, -1}).ge(keys);
  if (std::find(source.keys.begin(), source.keys.end(), 0) != source.keys.end()) memory_keyless_ = keys.eq(0);
  for (const Stack::Layer& layer : stack.layers()) {
    const Attention &self = layer.self_attention, &cross = *layer.cross_attention;
    const at::Tensor keys_values = memory.Spread(cross.ProjectKeysValues(memory_MD), head_dim, 0, 2);
    layers_.push_back({.query_key_value = Kept(self.in_weight(), self.in_bias()),
                       .out = Kept(self.out_weight(), self.out_bias()),
                       .cross_query = Kept(cross.in_weight().narrow(0, 0, dim), cross.in_bias().narrow(0, 0, dim)),
                       .cross_out = Kept(cross.out_weight(), cross.out_bias()),
                       .fc1 = Kept(layer.feed_forward.weight1(), layer.feed_forward.bias1()),
                       .fc2 = Kept(layer.feed_forward.weight2(), layer.feed_forward.bias2()),
                       .memory_keys = keys_values[0],
                       .memory_values = keys_values[1]});
  }
}

DeviceDecoder::LinearLayer DeviceDecoder::Kept(const at::Tensor& weight_CK, const at::Tensor& bias_C) const {
  const at::Tensor weight = weight_CK.detach();
  return {(config().precision == Precision::kBfloat16 ? RoundedOnDevice(weight) : weight).t(), bias_C};
}

at::Tensor DeviceDecoder::Apply(const LinearLayer& linear, const at::Tensor& x_NK) const {
  if (config().precision == Precision::kBfloat16) return ProductOfRounded(x_NK, linear.weight_KC, linear.bias_C);
  return linear.bias_C.defined() ? at::addmm(linear.bias_C, x_NK, linear.weight_KC) : at::mm(x_NK, linear.weight_KC);
}

void DeviceDecoder::Arrange() {
  const auto rows = static_cast<int64_t>(pasts().size()), batch = memory_hidden_.size(0);
  std::vector<int64_t> all, rows_of(static_cast<size_t>(batch));
  for (const std::vector<int64_t>& past : pasts()) all.insert(all.end(), past.begin(), past.end());
  for (const int64_t sentence : sentences()) ++rows_of[static_cast<size_t>(sentence)];
  // Rows of one sentence stand together.
  const int64_t most = *std::max_element(rows_of.begin(), rows_of.end());
  std::vector<int64_t> query_rows, places;
  for (int64_t b = 0, first = 0; b < batch; first += rows_of[static_cast<size_t>(b)], ++b) {
    for (int64_t i = 0; i < most; ++i) {
      const bool there = i < rows_of[static_cast<size_t>(b)];
      query_rows.push_back(there ? first + i : std::min(first, rows - 1));
      if (there) places.push_back(b * most + i);
    }
  }
  past_rows_RT_ = Numbers(all, device_).view({rows, seen()});
  queries_ = HeadPlaces(Numbers(query_rows, device_).view({batch, most}), Numbers(places, device_), config().heads);
}

at::Tensor DeviceDecoder::SelfAttention(size_t layer, const at::Tensor& h_RD) {
  const int64_t dim = config().dim, heads = config().heads, head_dim = dim / heads, rows = h_RD.size(0);
  const at::Tensor joint = Apply(layers_[layer].query_key_value, h_RD);
  past(layer).narrow(0, first_row(), rows).copy_(joint.narrow(1, dim, 2 * dim));
  const at::Tensor q_RHd = joint.narrow(1, 0, dim).reshape({rows, heads, 1, head_dim});
  const int64_t row_bytes = seen() * 2 * dim * static_cast<int64_t>(sizeof(float));
  const int64_t piece = std::max<int64_t>(1, kGatheredBytes / row_bytes);
  const at::Tensor nothing_hidden = at::zeros({1, 1, 1, 1}, joint.options().dtype(at::kBool));
  std::vector<at::Tensor> contexts;
  for (int64_t begin = 0; begin < rows; begin += piece) {
    const int64_t count = std::min(piece, rows - begin);
    const HeadPlaces places(past_rows_RT_.narrow(0, begin, count), {}, heads);
    const at::Tensor keys_values = places.Spread(past(layer), head_dim, 0, 2);
    const at::Tensor weights = AttentionProbabilities(q_RHd.narrow(0, begin, count), keys_values[0], nothing_hidden, {});
    contexts.push_back(at::bmm(weights, keys_values[1].view({count * heads, seen(), head_dim})).view({count, dim}));
  }
  return Apply(layers_[layer].out, contexts.size() == 1 ? contexts[0] : at::cat(contexts));
}

at::Tensor DeviceDecoder::CrossAttention(size_t layer, const at::Tensor& h_RD) {
  const int64_t head_dim = config().dim / config().heads;
  const at::Tensor q = queries_.Spread(Apply(layers_[layer].cross_query, h_RD), head_dim, 0, 1)[0];
  const at::Tensor weights = AttentionProbabilities(q, layers_[layer].memory_keys, memory_hidden_, memory_keyless_);
  const at::Tensor values = layers_[layer].memory_values.view({-1, layers_[layer].memory_values.size(2), head_dim});
  return Apply(layers_[layer].cross_out, queries_.Collect(at::bmm(weights, values).view(q.sizes()).unsqueeze(0)));
}

at::Tensor DeviceDecoder::FeedForward(size_t layer, const at::Tensor& h_RD) {
  return Apply(layers_[layer].fc2, Apply(layers_[layer].fc1, h_RD).relu_());
}

at::Tensor DeviceDecoder::Logits(const at::Tensor& h_RD) { return Apply(output_, h_RD); }

}  // namespace strata::model
