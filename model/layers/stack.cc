#include "model/layers/stack.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

namespace strata::model {
namespace {

double PopulationVariance(const at::Tensor& x) {
  const at::NoGradGuard no_grad;
  return at::var(x.detach(), /*unbiased=*/false).item<double>();
}

}  // namespace

Stack::Stack(const ModelConfig& config, const std::string& name, int64_t layers, bool cross, ParameterStore& parameters)
    : name_(name), config_(config) {
  kinds_ = {SublayerKind::kSelfAttention, SublayerKind::kFeedForward};
  if (cross) kinds_.insert(kinds_.begin() + 1, SublayerKind::kCrossAttention);
  for (int64_t i = 0; i < layers; ++i) {
    const std::string prefix = name + ".layers." + std::to_string(i);
    Attention self(parameters, prefix + ".self_attn", name, i, config.dim, config.heads, /*cross=*/false,
                   config.precision);
    std::unique_ptr<Attention> other;
    if (cross) {
      other = std::make_unique<Attention>(parameters, prefix + ".encoder_attn", name, i, config.dim, config.heads, /*cross=*/true,
                                          config.precision);
    }
    layers_.push_back({std::move(self), std::move(other), FeedForward(parameters, prefix, name, i, config.dim, config.ffn_dim, config.precision)});
  }
  scheme_ = MakeScheme(config.scheme, {.name = name,
                                       .layers = layers,
                                       .sublayers = kinds_,
                                       .dim = config.dim,
                                       .ffn_dim = config.ffn_dim,
                                       .encoder_layers = config.encoder_layers,
                                       .decoder_layers = config.decoder_layers,
                                       .config = &config});
  scheme_->Build(parameters);
}

at::Tensor Stack::Run(const at::Tensor& x_ND, const Runner& run, Pass& pass) {
  LayerTaps::Stack* taps = pass.taps() == nullptr ? nullptr : &pass.taps()->stacks[name_];
  History history = {x_ND};
  if (taps != nullptr) taps->input_ND = x_ND;
  const int64_t count = static_cast<int64_t>(kinds_.size());
  for (int64_t layer = 0; layer < static_cast<int64_t>(layers_.size()); ++layer) {
    const at::Tensor input = scheme_->LayerInput(layer, history, pass);
    at::Tensor x = input;
    for (int64_t s = 0; s < count; ++s) {
      const Place at{.layer = layer, .sublayer = s, .kind = kinds_[s], .last = s + 1 == count, .pass = &pass};
      const auto sublayer = [&](const at::Tensor& h_ND) {
        const Branch branch = run(layer, at.kind, h_ND);
        if (taps != nullptr && pass.taps()->variances) taps->variances[NameOf(at.kind)].push_back(PopulationVariance(branch.value_ND));
        return branch;
      };
      x = scheme_->Sublayer(at, x, sublayer, input);
    }
    if (taps != nullptr) taps->outputs_ND.push_back(x);
    if (!scheme_->KeepsHistory()) history.clear();
    history.push_back(std::move(x));
  }
  at::Tensor out = scheme_->StackOutput(history, pass);
  if (taps != nullptr) taps->final_ND = out;
  return out;
}

at::Tensor Stack::Forward(const at::Tensor& x_ND, std::shared_ptr<const AttentionPlan> self_plan, const at::Tensor& memory_MD,
                          std::shared_ptr<const AttentionPlan> cross_plan, Pass& pass) {
  const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_ND) -> Branch {
    const Layer& layer = layers_[index];
    at::Tensor out;
    switch (kind) {
      case SublayerKind::kSelfAttention:
        out = layer.self_attention.Self(h_ND, self_plan, pass.Site(config_.attention_dropout));
        break;
      case SublayerKind::kCrossAttention:
        out = layer.cross_attention->Cross(h_ND, memory_MD, cross_plan, pass.Site(config_.attention_dropout));
        break;
      case SublayerKind::kFeedForward:
        out = layer.feed_forward(h_ND, pass.Site(config_.activation_dropout));
        break;
    }
    return {.value_ND = out, .dropout = pass.Site(config_.dropout)};
  };
  return Run(x_ND, run, pass);
}

}  // namespace strata::model
