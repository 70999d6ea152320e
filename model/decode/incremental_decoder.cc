#include "model/decode/incremental_decoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "model/layers/decode_kernels.h"

namespace strata::model {
namespace {

constexpr int64_t kFirstPositions = 32;  // room that is made at first

// Rows [begin, begin + rows) of an attention's joint weight and bias.
PackedLinear Part(const Attention& attention, int64_t begin, int64_t rows, Precision precision) {
  return {attention.in_weight().narrow(0, begin, rows), attention.in_bias().narrow(0, begin, rows), precision};
}

}  // namespace

IncrementalDecoder::IncrementalDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                                       const at::Tensor& memory_MD, const Packing& source)
    : config_(config),
      stack_(stack),
      target_table_VD_(tables.target_VD),
      output_(tables.output_VD, {}, config.precision),
      positions_(positions),
      source_(source),
      pass_(false, nullptr) {
  const int64_t dim = config_.dim;
  const Precision precision = config_.precision;
  for (const Stack::Layer& layer : stack_.layers()) {
    const Attention &self = layer.self_attention, &cross = *layer.cross_attention;
    layers_.push_back({.query = Part(self, 0, dim, precision),
                       .key_value = Part(self, dim, 2 * dim, precision),
                       .out = {self.out_weight(), self.out_bias(), precision},
                       .cross_query = Part(cross, 0, dim, precision),
                       .cross_out = {cross.out_weight(), cross.out_bias(), precision},
                       .fc1 = {layer.feed_forward.weight1(), layer.feed_forward.bias1(), precision},
                       .fc2 = {layer.feed_forward.weight2(), layer.feed_forward.bias2(), precision},
                       .memory_M2D = cross.ProjectKeysValues(memory_MD),
                       .past_P2D = {}});
  }
  memory_rows_.resize(static_cast<size_t>(memory_MD.size(0)));
  std::iota(memory_rows_.begin(), memory_rows_.end(), 0);
  sentences_.resize(static_cast<size_t>(source_.batch));
  std::iota(sentences_.begin(), sentences_.end(), 0);
  pasts_.resize(sentences_.size());
}

at::Tensor IncrementalDecoder::Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) {
  Continue(from);
  const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_RD) -> Branch {
    Layer& layer = layers_[static_cast<size_t>(index)];
    switch (kind) {
      case SublayerKind::kSelfAttention:
        return {SelfAttention(layer, h_RD), {}};
      case SublayerKind::kCrossAttention:
        return {CrossAttention(layer, h_RD), {}};
      case SublayerKind::kFeedForward:
        return {layer.fc2(layer.fc1(h_RD, /*relu=*/true)), {}};
    }
    return {};
  };
  const at::Tensor out_RD = stack_.Run(EmbedTokens(tokens), run, pass_);
  ++step_;
  first_row_ += static_cast<int64_t>(tokens.size());
  return output_(out_RD);
}

// Each row takes over the past of the one that it continues, and sees its own position as well.
void IncrementalDecoder::Continue(const std::vector<int64_t>& from) {
  std::vector<std::vector<int64_t>> pasts;
  std::vector<int64_t> sentences;
  const auto rows = static_cast<int64_t>(from.size());
  past_index_.clear();
  past_counts_.assign(from.size(), step_ + 1);
  memory_index_.clear();
  memory_counts_.clear();
  for (int64_t row = 0; row < rows; ++row) {
    const auto before = static_cast<size_t>(from[static_cast<size_t>(row)]);
    pasts.push_back(pasts_[before]);
    pasts.back().push_back(first_row_ + row);
    past_index_.push_back(pasts.back().data());
    sentences.push_back(sentences_[before]);
    const auto sentence = static_cast<size_t>(sentences.back());
    memory_index_.push_back(memory_rows_.data() + source_.keys_begin[sentence]);
    memory_counts_.push_back(source_.keys[sentence]);
  }
  pasts_ = std::move(pasts);
  sentences_ = std::move(sentences);
  for (Layer& layer : layers_) {
    const int64_t room = layer.past_P2D.defined() ? layer.past_P2D.size(0) : 0;
    if (first_row_ + rows <= room) continue;
    const at::Tensor larger =
        at::empty({std::max(2 * room, kFirstPositions * rows), 2 * config_.dim}, target_table_VD_.options().requires_grad(false));
    if (room > 0) larger.narrow(0, 0, room).copy_(layer.past_P2D);
    layer.past_P2D = larger;
  }
}

at::Tensor IncrementalDecoder::EmbedTokens(const std::vector<int64_t>& tokens) {
  Packing packing;
  packing.length = step_ + 1;
  packing.tokens_N = at::tensor(tokens, at::kLong);
  packing.positions_N = at::full({static_cast<int64_t>(tokens.size())}, step_ + kPad + 1, at::kLong);
  return Embed(target_table_VD_, packing, positions_, {}, false);
}

at::Tensor IncrementalDecoder::SelfAttention(Layer& layer, const at::Tensor& h_RD) {
  const int64_t stride = layer.past_P2D.size(1);
  layer.key_value.Into(h_RD, layer.past_P2D.mutable_data_ptr<float>() + first_row_ * stride, stride);
  return layer.out(Attend(layer.query(h_RD), layer.past_P2D, past_index_, past_counts_));
}

at::Tensor IncrementalDecoder::CrossAttention(const Layer& layer, const at::Tensor& h_RD) const {
  return layer.cross_out(Attend(layer.cross_query(h_RD), layer.memory_M2D, memory_index_, memory_counts_));
}

at::Tensor IncrementalDecoder::Attend(const at::Tensor& q_RD, const at::Tensor& keys_values, const std::vector<const int64_t*>& index,
                                      const std::vector<int64_t>& counts) const {
  const at::Tensor context = at::empty_like(q_RD);
  const DecodeKernels::Attention attention{.heads = config_.heads,
                                           .head_dim = config_.dim / config_.heads,
                                           .q = q_RD.const_data_ptr<float>(),
                                           .q_stride = q_RD.stride(0),
                                           .keys_values = keys_values.const_data_ptr<float>(),
                                           .stride = keys_values.stride(0),
                                           .index = index.data(),
                                           .counts = counts.data(),
                                           .context = context.mutable_data_ptr<float>(),
                                           .context_stride = context.stride(0)};
  at::parallel_for(0, q_RD.size(0), /*grain_size=*/8,
                   [&](int64_t begin, int64_t end) { GetDecodeKernels().attention(attention, begin, end); });
  return context;
}

}  // namespace strata::model
