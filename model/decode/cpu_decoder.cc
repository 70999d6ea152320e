#include "model/decode/cpu_decoder.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <numeric>

#include "model/layers/decode_kernels.h"

namespace strata::model {
namespace {

// Rows [begin, begin + rows) of an attention's joint weight and bias.
PackedLinear Part(const Attention& attention, int64_t begin, int64_t rows, Precision precision) {
  return {attention.in_weight().narrow(0, begin, rows), attention.in_bias().narrow(0, begin, rows), precision};
}

}  // namespace

CpuDecoder::CpuDecoder(const ModelConfig& config, Stack& stack, const TargetTables& tables, Positions& positions,
                       const at::Tensor& memory_MD, const Packing& source)
    : IncrementalDecoder(config, stack, tables.target_VD, positions, source.batch),
      output_(tables.output_VD, {}, config.precision),
      source_(source),
      memory_rows_(static_cast<size_t>(memory_MD.size(0))) {
  const int64_t dim = config.dim;
  const Precision precision = config.precision;
  for (const Stack::Layer& layer : stack.layers()) {
    const Attention &self = layer.self_attention, &cross = *layer.cross_attention;
    layers_.push_back({.query = Part(self, 0, dim, precision),
                       .key_value = Part(self, dim, 2 * dim, precision),
                       .out = {self.out_weight(), self.out_bias(), precision},
                       .cross_query = Part(cross, 0, dim, precision),
                       .cross_out = {cross.out_weight(), cross.out_bias(), precision},
                       .fc1 = {layer.feed_forward.weight1(), layer.feed_forward.bias1(), precision},
                       .fc2 = {layer.feed_forward.weight2(), layer.feed_forward.bias2(), precision},
                       .memory_M2D = cross.ProjectKeysValues(memory_MD)});
  }
  std::iota(memory_rows_.begin(), memory_rows_.end(), 0);
}

void CpuDecoder::Arrange() {
  past_index_.clear();
  past_counts_.assign(pasts().size(), seen());
  memory_index_.clear();
  memory_counts_.clear();
  for (const std::vector<int64_t>& past : pasts()) past_index_.push_back(past.data());
  for (const int64_t sentence : sentences()) {
    memory_index_.push_back(memory_rows_.data() + source_.keys_begin[static_cast<size_t>(sentence)]);
    memory_counts_.push_back(source_.keys[static_cast<size_t>(sentence)]);
  }
}

at::Tensor CpuDecoder::SelfAttention(size_t layer, const at::Tensor& h_RD) {
  const Layer& weights = layers_[layer];
  const at::Tensor& past_P2D = past(layer);
  const int64_t stride = past_P2D.size(1);
  weights.key_value.Into(h_RD, past_P2D.mutable_data_ptr<float>() + first_row() * stride, stride);
  return weights.out(Attend(weights.query(h_RD), past_P2D, past_index_, past_counts_));
}

at::Tensor CpuDecoder::CrossAttention(size_t layer, const at::Tensor& h_RD) {
  const Layer& weights = layers_[layer];
  return weights.cross_out(Attend(weights.cross_query(h_RD), weights.memory_M2D, memory_index_, memory_counts_));
}

at::Tensor CpuDecoder::FeedForward(size_t layer, const at::Tensor& h_RD) {
  return layers_[layer].fc2(layers_[layer].fc1(h_RD, /*relu=*/true));
}

at::Tensor CpuDecoder::Logits(const at::Tensor& h_RD) { return output_(h_RD); }

at::Tensor CpuDecoder::Attend(const at::Tensor& q_RD, const at::Tensor& keys_values, const std::vector<const int64_t*>& index,
                                      const std::vector<int64_t>& counts) const {
  const at::Tensor context = at::empty_like(q_RD);
  const DecodeKernels::Attention attention{.heads = config().heads,
                                           .head_dim = config().dim / config().heads,
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
