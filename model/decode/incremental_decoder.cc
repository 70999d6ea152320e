#include "model/decode/incremental_decoder.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace strata::model {
namespace {

constexpr int64_t kFirstPositions = 32;  // room that is made at first

}  // namespace

IncrementalDecoder::IncrementalDecoder(const ModelConfig& config, Stack& stack, const at::Tensor& target_table_VD,
                                       Positions& positions, int64_t batch)
    : config_(config),
      stack_(stack),
      target_table_VD_(target_table_VD),
      positions_(positions),
      pass_(false, nullptr),
      pasts_P2D_(stack.layers().size()),
      pasts_(static_cast<size_t>(batch)),
      sentences_(pasts_.size()) {
  std::iota(sentences_.begin(), sentences_.end(), 0);
}

at::Tensor IncrementalDecoder::Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) {
  Continue(from);
  MakeRoom(static_cast<int64_t>(from.size()));
  Arrange();
  const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_RD) -> Branch {
    const auto layer = static_cast<size_t>(index);
    switch (kind) {
      case SublayerKind::kSelfAttention:
        return {SelfAttention(layer, h_RD), {}};
      case SublayerKind::kCrossAttention:
        return {CrossAttention(layer, h_RD), {}};
      case SublayerKind::kFeedForward:
        return {FeedForward(layer, h_RD), {}};
    }
    return {};
  };
  const at::Tensor out_RD = stack_.Run(EmbedTokens(tokens), run, pass_);
  ++step_;
  first_row_ += static_cast<int64_t>(tokens.size());
  return Logits(out_RD);
}

// Each row takes over the past of the one that it continues, and sees its own position as well.
void IncrementalDecoder::Continue(const std::vector<int64_t>& from) {
  std::vector<std::vector<int64_t>> pasts;
  std::vector<int64_t> sentences;
  for (size_t row = 0; row < from.size(); ++row) {
    const auto before = static_cast<size_t>(from[row]);
    pasts.push_back(pasts_[before]);
    pasts.back().push_back(first_row_ + static_cast<int64_t>(row));
    sentences.push_back(sentences_[before]);
  }
  pasts_ = std::move(pasts);
  sentences_ = std::move(sentences);
}

void IncrementalDecoder::MakeRoom(int64_t rows) {
  for (at::Tensor& past_P2D : pasts_P2D_) {
    const int64_t room = past_P2D.defined() ? past_P2D.size(0) : 0;
    if (first_row_ + rows <= room) continue;
    const at::Tensor larger = at::empty({std::max(2 * room, kFirstPositions * rows), 2 * config_.dim},
                                        target_table_VD_.options().requires_grad(false));
    if (room > 0) larger.narrow(0, 0, room).copy_(past_P2D);
    past_P2D = larger;
  }
}

at::Tensor IncrementalDecoder::EmbedTokens(const std::vector<int64_t>& tokens) {
  Packing packing;
  packing.length = seen();
  packing.tokens_N = at::tensor(tokens, at::kLong);
  packing.positions_N = at::full({static_cast<int64_t>(tokens.size())}, step_ + kPad + 1, at::kLong);
  return Embed(target_table_VD_, packing, positions_, {}, false);
}

}  // namespace strata::model
