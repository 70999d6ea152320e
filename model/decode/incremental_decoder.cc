#include "model/decode/incremental_decoder.h"

#include <ATen/ATen.h>

#include <utility>

namespace strata::model {
namespace {

constexpr int64_t kCacheGrowth = 32;

}  // namespace

IncrementalDecoder::IncrementalDecoder(const ModelConfig& config, Stack& stack, TargetTables tables, Positions& positions,
                                       const at::Tensor& memory_MD, const Packing& source)
    : config_(config), stack_(stack), tables_(std::move(tables)), positions_(positions), source_(source), pass_(false, nullptr) {
  for (const Stack::Layer& layer : stack_.layers()) memory_.push_back(layer.cross_attention->ProjectKeysValues(memory_MD));
  cache_.resize(memory_.size());
  for (int64_t sentence = 0; sentence < source_.batch; ++sentence) sentences_.push_back(sentence);
}

at::Tensor IncrementalDecoder::Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) {
  Continue(from);
  const at::Tensor x_RD = EmbedTokens(tokens);
  const AttentionPlan self = SelfPlan(), cross = CrossPlan();
  const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_RD) -> Branch {
    const Stack::Layer& layer = stack_.layers()[index];
    switch (kind) {
      case SublayerKind::kSelfAttention:
        return {StepSelfAttention(layer.self_attention, index, h_RD, self), {}};
      case SublayerKind::kCrossAttention:
        return {layer.cross_attention->Attend(layer.cross_attention->ProjectQuery(h_RD), memory_[index], cross), {}};
      case SublayerKind::kFeedForward:
        return {layer.feed_forward(h_RD, {}), {}};
    }
    return {};
  };
  const at::Tensor out_RD = stack_.Run(x_RD, run, pass_);
  ++step_;
  return at::mm(out_RD, tables_.output_VD.t());
}

// Makes the rows of the caches those of the hypotheses that go on.
void IncrementalDecoder::Continue(const std::vector<int64_t>& from) {
  bool same = from.size() == sentences_.size();
  for (size_t i = 0; same && i < from.size(); ++i) same = from[i] == static_cast<int64_t>(i);
  const bool grows = step_ == capacity_;
  if (same && !grows) return;
  const int64_t dim = config_.dim, rows = static_cast<int64_t>(from.size());
  const int64_t capacity = grows ? capacity_ + kCacheGrowth : capacity_;
  const at::Tensor index = at::tensor(from, at::kLong);
  for (at::Tensor& cache : cache_) {
    const at::Tensor next = at::empty({rows, capacity, 2 * dim}, tables_.target_VD.options());
    if (step_ > 0) {
      at::Tensor filled = next.narrow(1, 0, step_);
      filled.copy_(at::index_select(cache.narrow(1, 0, step_), 0, index));
    }
    cache = next;
  }
  std::vector<int64_t> sentences;
  for (const int64_t row : from) sentences.push_back(sentences_[row]);
  sentences_ = std::move(sentences);
  capacity_ = capacity;
}

at::Tensor IncrementalDecoder::EmbedTokens(const std::vector<int64_t>& tokens) {
  Packing packing;
  packing.length = step_ + 1;
  packing.tokens_N = at::tensor(tokens, at::kLong);
  packing.positions_N = at::full({static_cast<int64_t>(tokens.size())}, step_ + kPad + 1, at::kLong);
  return Embed(tables_.target_VD, packing, positions_, {}, false);
}

AttentionPlan IncrementalDecoder::SelfPlan() const {
  AttentionPlan plan;
  for (int64_t row = 0; row < static_cast<int64_t>(sentences_.size()); ++row) {
    plan.spans.push_back({.query_begin = row, .queries = 1, .key_begin = row * capacity_, .keys = step_ + 1});
  }
  return plan;
}

// Neighbouring rows of one sentence ask together.
AttentionPlan IncrementalDecoder::CrossPlan() const {
  AttentionPlan plan;
  for (size_t row = 0; row < sentences_.size(); ++row) {
    const int64_t sentence = sentences_[row];
    if (row > 0 && sentences_[row - 1] == sentence) {
      ++plan.spans.back().queries;
    } else {
      plan.spans.push_back({.query_begin = static_cast<int64_t>(row),
                            .queries = 1,
                            .key_begin = source_.keys_begin[sentence],
                            .keys = source_.keys[sentence]});
    }
  }
  return plan;
}

at::Tensor IncrementalDecoder::StepSelfAttention(const Attention& attention, int64_t layer, const at::Tensor& h_RD,
                                                 const AttentionPlan& plan) {
  const int64_t dim = config_.dim;
  const at::Tensor joint = attention.ProjectJoint(h_RD);
  cache_[layer].select(1, step_).copy_(joint.narrow(1, dim, 2 * dim));
  return attention.Attend(joint.narrow(1, 0, dim), cache_[layer].view({-1, 2 * dim}), plan);
}

}  // namespace strata::model
