#include "model/decode/device_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "model/layers/device_path.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

constexpr int64_t kFirstPositions = 32;                 // room that is made at first
constexpr int64_t kGatheredBytes = int64_t{256} << 20;  // keys and values of several hypotheses at once

at::Tensor Numbers(const std::vector<int64_t>& numbers, const at::Device& device) {
  return CopyTo(at::tensor(numbers, at::kLong), device);
}

}  // namespace

DeviceDecoder::DeviceDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                             const at::Tensor& memory_MD, const Packing& source)
    : config_(config),
      stack_(stack),
      target_table_VD_(tables.target_VD),
      output_(Kept(tables.output_VD, {})),
      positions_(positions),
      pass_(false, nullptr) {
  const at::Device device = memory_MD.device();
  const int64_t dim = config_.dim, head_dim = dim / config_.heads, batch = source.batch;
  const int64_t longest = std::max<int64_t>(1, batch == 0 ? 0 : *std::max_element(source.keys.begin(), source.keys.end()));
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < batch; ++b) {
    const auto sentence = static_cast<size_t>(b);
    const int64_t keys = source.keys[sentence];
    for (int64_t t = 0; t < longest; ++t) rows.push_back(keys == 0 ? 0 : source.keys_begin[sentence] + (t < keys ? t : 0));
  }
  const HeadPlaces memory(Numbers(rows, device).view({batch, longest}), {}, config_.heads);
  const at::Tensor keys = Numbers(source.keys, device).view({batch, 1, 1, 1});
  memory_hidden_ = at::arange(longest, keys.options()).view({1, 1, 1, -1}).ge(keys);
  if (std::find(source.keys.begin(), source.keys.end(), 0) != source.keys.end()) memory_keyless_ = keys.eq(0);
  for (const Stack::Layer& layer : stack_.layers()) {
    const Attention &self = layer.self_attention, &cross = *layer.cross_attention;
    const at::Tensor keys_values = memory.Spread(cross.ProjectKeysValues(memory_MD), head_dim, 0, 2);
    layers_.push_back({.query_key_value = Kept(self.in_weight(), self.in_bias()),
                       .out = Kept(self.out_weight(), self.out_bias()),
                       .cross_query = Kept(cross.in_weight().narrow(0, 0, dim), cross.in_bias().narrow(0, 0, dim)),
                       .cross_out = Kept(cross.out_weight(), cross.out_bias()),
                       .fc1 = Kept(layer.feed_forward.weight1(), layer.feed_forward.bias1()),
                       .fc2 = Kept(layer.feed_forward.weight2(), layer.feed_forward.bias2()),
                       .memory_keys = keys_values[0],
                       .memory_values = keys_values[1],
                       .past_P2D = {}});
  }
  sentences_.resize(static_cast<size_t>(batch));
  std::iota(sentences_.begin(), sentences_.end(), 0);
  pasts_.resize(sentences_.size());
}

DeviceDecoder::LinearLayer DeviceDecoder::Kept(const at::Tensor& weight_CK, const at::Tensor& bias_C) const {
  const at::Tensor weight = weight_CK.detach();
  return {(config_.precision == Precision::kBfloat16 ? RoundedOnDevice(weight) : weight).t(), bias_C};
}

at::Tensor DeviceDecoder::Apply(const LinearLayer& linear, const at::Tensor& x_NK) const {
  if (config_.precision == Precision::kBfloat16) return ProductOfRounded(x_NK, linear.weight_KC, linear.bias_C);
  return linear.bias_C.defined() ? at::addmm(linear.bias_C, x_NK, linear.weight_KC) : at::mm(x_NK, linear.weight_KC);
}

at::Tensor DeviceDecoder::Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) {
  Continue(from);
  const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_RD) -> Branch {
    Layer& layer = layers_[static_cast<size_t>(index)];
    switch (kind) {
      case SublayerKind::kSelfAttention:
        return {SelfAttention(layer, h_RD), {}};
      case SublayerKind::kCrossAttention:
        return {CrossAttention(layer, h_RD), {}};
      case SublayerKind::kFeedForward:
        return {Apply(layer.fc2, Apply(layer.fc1, h_RD).relu_()), {}};
    }
    return {};
  };
  const at::Tensor out_RD = stack_.Run(EmbedTokens(tokens), run, pass_);
  ++step_;
  first_row_ += static_cast<int64_t>(tokens.size());
  return Apply(output_, out_RD);
}

// Each row takes over the past of the one that it continues, and sees its own position as well.
void DeviceDecoder::Continue(const std::vector<int64_t>& from) {
  const auto rows = static_cast<int64_t>(from.size()), batch = memory_hidden_.size(0);
  std::vector<std::vector<int64_t>> pasts;
  std::vector<int64_t> sentences, all, rows_of(static_cast<size_t>(batch));
  for (int64_t row = 0; row < rows; ++row) {
    const auto before = static_cast<size_t>(from[static_cast<size_t>(row)]);
    pasts.push_back(pasts_[before]);
    pasts.back().push_back(first_row_ + row);
    all.insert(all.end(), pasts.back().begin(), pasts.back().end());
    sentences.push_back(sentences_[before]);
    ++rows_of[static_cast<size_t>(sentences.back())];
  }
  pasts_ = std::move(pasts);
  sentences_ = std::move(sentences);
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
  const at::Device device = target_table_VD_.device();
  past_rows_RT_ = Numbers(all, device).view({rows, step_ + 1});
  queries_ = HeadPlaces(Numbers(query_rows, device).view({batch, most}), Numbers(places, device), config_.heads);
  MakeRoom(rows);
}

void DeviceDecoder::MakeRoom(int64_t rows) {
  for (Layer& layer : layers_) {
    const int64_t room = layer.past_P2D.defined() ? layer.past_P2D.size(0) : 0;
    if (first_row_ + rows <= room) continue;
    const at::Tensor larger = at::empty({std::max(2 * room, kFirstPositions * rows), 2 * config_.dim},
                                        target_table_VD_.options().requires_grad(false));
    if (room > 0) larger.narrow(0, 0, room).copy_(layer.past_P2D);
    layer.past_P2D = larger;
  }
}

at::Tensor DeviceDecoder::EmbedTokens(const std::vector<int64_t>& tokens) {
  Packing packing;
  packing.length = step_ + 1;
  packing.tokens_N = at::tensor(tokens, at::kLong);
  packing.positions_N = at::full({static_cast<int64_t>(tokens.size())}, step_ + kPad + 1, at::kLong);
  return Embed(target_table_VD_, packing, positions_, {}, false);
}

at::Tensor DeviceDecoder::SelfAttention(Layer& layer, const at::Tensor& h_RD) {
  const int64_t dim = config_.dim, heads = config_.heads, head_dim = dim / heads, rows = h_RD.size(0);
  const at::Tensor joint = Apply(layer.query_key_value, h_RD);
  layer.past_P2D.narrow(0, first_row_, rows).copy_(joint.narrow(1, dim, 2 * dim));
  const at::Tensor q_RHd = joint.narrow(1, 0, dim).reshape({rows, heads, 1, head_dim});
  const int64_t row_bytes = (step_ + 1) * 2 * dim * static_cast<int64_t>(sizeof(float));
  const int64_t piece = std::max<int64_t>(1, kGatheredBytes / row_bytes);
  const at::Tensor nothing_hidden = at::zeros({1, 1, 1, 1}, joint.options().dtype(at::kBool));
  std::vector<at::Tensor> contexts;
  for (int64_t begin = 0; begin < rows; begin += piece) {
    const int64_t count = std::min(piece, rows - begin);
    const HeadPlaces pasts(past_rows_RT_.narrow(0, begin, count), {}, heads);
    const at::Tensor keys_values = pasts.Spread(layer.past_P2D, head_dim, 0, 2);
    const at::Tensor weights = AttentionProbabilities(q_RHd.narrow(0, begin, count), keys_values[0], nothing_hidden, {});
    contexts.push_back(at::bmm(weights, keys_values[1].view({count * heads, step_ + 1, head_dim})).view({count, dim}));
  }
  return Apply(layer.out, contexts.size() == 1 ? contexts[0] : at::cat(contexts));
}

at::Tensor DeviceDecoder::CrossAttention(const Layer& layer, const at::Tensor& h_RD) const {
  const int64_t head_dim = config_.dim / config_.heads;
  const at::Tensor q = queries_.Spread(Apply(layer.cross_query, h_RD), head_dim, 0, 1)[0];
  const at::Tensor weights = AttentionProbabilities(q, layer.memory_keys, memory_hidden_, memory_keyless_);
  const at::Tensor values = layer.memory_values.view({-1, layer.memory_values.size(2), head_dim});
  return Apply(layer.cross_out, queries_.Collect(at::bmm(weights, values).view(q.sizes()).unsqueeze(0)));
}

}  // namespace strata::model
