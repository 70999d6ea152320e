#include "model/tasks/encoder_decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>

#include "model/decode/beam_search.h"

namespace strata::model {
namespace {

uint64_t DrawSeed() {
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  return at::check_generator<at::CPUGeneratorImpl>(generator)->random64();
}

// The targets of a packed target input.
at::Tensor PackTargets(const at::Tensor& target_BT, const Packing& input) {
  if (target_BT.dim() != 2 || target_BT.size(0) != input.batch || target_BT.size(1) != input.length) {
    throw std::invalid_argument("a batch's targets and target inputs differ in shape.");
  }
  const at::Tensor targets = at::index_select(target_BT.reshape({-1}), 0, input.tokens_N.numel() > 0 ? input.flat_N : input.tokens_N);
  if (targets.ne(kPad).sum().item<int64_t>() != target_BT.ne(kPad).sum().item<int64_t>()) {
    throw std::invalid_argument("a batch has targets where its target inputs are padding.");
  }
  return targets;
}

bool IsWeightOfLayer(const ParameterPart& part) {
  return part.layer >= 0 && !part.is_bias && part.role != Role::kNorm && part.role != Role::kScheme;
}

}  // namespace

EncoderDecoder::EncoderDecoder(const ModelConfig& config) : config_(config), positions_(config.dim) {
  AddEmbeddings();
  encoder_ = std::make_unique<Stack>(config_, "encoder", config_.encoder_layers, /*cross=*/false, store_);
  decoder_ = std::make_unique<Stack>(config_, "decoder", config_.decoder_layers, /*cross=*/true, store_);
  Initialise();
}

void EncoderDecoder::AddEmbeddings() {
  const double deviation = 1 / std::sqrt(static_cast<double>(config_.dim));
  const auto add = [&](const std::string& name, const std::string& stack, Role role) {
    return store_.Add(name, {config_.vocabulary, config_.dim},
                      {{.name = name,
                        .role = role,
                        .stack = stack,
                        .fan_in = config_.dim,
                        .fan_out = config_.vocabulary,
                        .initial = Initial::Normal(deviation),
                        .zero_row = role == Role::kEmbedding ? kPad : -1}});
  };
  source_table_VD_ = add("encoder.embed_tokens.weight", "encoder", Role::kEmbedding);
  target_table_VD_ = source_table_VD_;
  if (config_.share_embeddings == "all") {
    store_.AddAlias("decoder.embed_tokens.weight", "encoder.embed_tokens.weight");
    store_.AddAlias("decoder.output_projection.weight", "encoder.embed_tokens.weight");
  } else {
    target_table_VD_ = add("decoder.embed_tokens.weight", "decoder", Role::kEmbedding);
  }
  output_table_VD_ = target_table_VD_;
  if (config_.share_embeddings == "decoder") {
    store_.AddAlias("decoder.output_projection.weight", "decoder.embed_tokens.weight");
  } else if (config_.share_embeddings == "none") {
    output_table_VD_ = add("decoder.embed_out", "decoder", Role::kOutput);
  }
}

void EncoderDecoder::Initialise() {
  store_.ForEachPart([&](ParameterPart& part) {
    const bool encoder = part.stack == "encoder";
    (encoder ? encoder_ : decoder_)->scheme().Init(part);
    const auto layers = static_cast<double>(encoder ? config_.encoder_layers : config_.decoder_layers);
    if (config_.rescale_init && IsWeightOfLayer(part)) part.initial.amount /= std::sqrt(layers);
  });
  store_.Draw(DrawSeed());
}

std::vector<NamedParameter> EncoderDecoder::Parameters() const {
  std::vector<NamedParameter> parameters;
  for (const auto& parameter : store_.parameters()) parameters.push_back({parameter.name, parameter.tensor});
  return parameters;
}

std::vector<NamedView> EncoderDecoder::FairseqViews() const {
  std::vector<NamedView> views;
  for (const auto& parameter : store_.parameters()) {
    for (const ParameterPart& part : parameter.parts) views.push_back({part.name, parameter.name, part.begin, part.rows});
  }
  return views;
}

at::Tensor EncoderDecoder::Encode(const Packing& source, Pass& pass) {
  const at::Tensor x_ND =
      Embed(source_table_VD_, source, positions_, pass.Site(config_.dropout), config_.share_embeddings == "all");
  return encoder_->Forward(x_ND, PlanAttention(source, source, config_.heads, /*causal=*/false), {}, nullptr, pass);
}

at::Tensor EncoderDecoder::Forward(const Packing& source, const Packing& target, Pass& pass) {
  const at::Tensor memory_MD = Encode(source, pass);
  const at::Tensor x_ND =
      Embed(target_table_VD_, target, positions_, pass.Site(config_.dropout), config_.share_embeddings != "none");
  return decoder_->Forward(x_ND, PlanAttention(target, target, config_.heads, /*causal=*/true), memory_MD,
                           PlanAttention(target, source, config_.heads, /*causal=*/false), pass);
}

LossSums EncoderDecoder::Loss(const Batch& batch, bool training, LayerTaps* taps) {
  Pass pass(training, taps);
  const Packing source = Pack(batch.source_BS), target = Pack(batch.target_input_BT);
  const at::Tensor targets_N = PackTargets(batch.target_BT, target);
  return ProjectedLoss(Forward(source, target, pass), output_table_VD_, targets_N, config_.label_smoothing);
}

at::Tensor EncoderDecoder::Logits(const Batch& batch, LayerTaps* taps) {
  Pass pass(/*training=*/false, taps);
  const Packing source = Pack(batch.source_BS), target = Pack(batch.target_input_BT);
  return Unpack(at::mm(Forward(source, target, pass), output_table_VD_.t()), target);
}

bool EncoderDecoder::NeedsProfile() const { return encoder_->scheme().NeedsProfile() || decoder_->scheme().NeedsProfile(); }

void EncoderDecoder::Profile(const Batch& batch) {
  if (!NeedsProfile()) return;
  const at::NoGradGuard no_grad;
  Pass pass(/*training=*/true, nullptr);
  for (Stack* stack : {encoder_.get(), decoder_.get()}) stack->scheme().BeginProfile();
  Forward(Pack(batch.source_BS, /*keep_padding=*/true), Pack(batch.target_input_BT, /*keep_padding=*/true), pass);
  for (Stack* stack : {encoder_.get(), decoder_.get()}) stack->scheme().EndProfile();
}

// Decodes step by step: the encoder once, then one position a call with cached keys and values.
class EncoderDecoder::Stepper final : public StepModel {
 public:
  Stepper(EncoderDecoder& model, const Packing& source) : model_(model), source_(source), pass_(false, nullptr) {
    const at::Tensor memory_MD = model_.Encode(source_, pass_);
    for (const Stack::Layer& layer : model_.decoder_->layers()) {
      memory_.push_back(layer.cross_attention->ProjectKeysValues(memory_MD));
    }
    cache_.resize(memory_.size());
    for (int64_t sentence = 0; sentence < source_.batch; ++sentence) sentences_.push_back(sentence);
  }

  at::Tensor Next(const std::vector<int64_t>& tokens, const std::vector<int64_t>& from) override {
    Continue(from);
    const at::Tensor x_RD = EmbedTokens(tokens);
    const AttentionPlan self = SelfPlan(), cross = CrossPlan();
    const auto run = [&](int64_t index, SublayerKind kind, const at::Tensor& h_RD) -> Branch {
      const Stack::Layer& layer = model_.decoder_->layers()[index];
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
    const at::Tensor out_RD = model_.decoder_->Run(x_RD, run, pass_);
    ++step_;
    return at::mm(out_RD, model_.output_table_VD_.t());
  }

 private:
  static constexpr int64_t kCacheGrowth = 32;

  // Makes the rows of the caches those of the hypotheses that go on.
  void Continue(const std::vector<int64_t>& from) {
    bool same = from.size() == sentences_.size();
    for (size_t i = 0; same && i < from.size(); ++i) same = from[i] == static_cast<int64_t>(i);
    const bool grows = step_ == capacity_;
    if (same && !grows) return;
    const int64_t dim = model_.config_.dim, rows = static_cast<int64_t>(from.size());
    const int64_t capacity = grows ? capacity_ + kCacheGrowth : capacity_;
    const at::Tensor index = at::tensor(from, at::kLong);
    for (at::Tensor& cache : cache_) {
      const at::Tensor next = at::empty({rows, capacity, 2 * dim}, model_.source_table_VD_.options());
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

  at::Tensor EmbedTokens(const std::vector<int64_t>& tokens) {
    Packing packing;
    packing.length = step_ + 1;
    packing.tokens_N = at::tensor(tokens, at::kLong);
    packing.positions_N = at::full({static_cast<int64_t>(tokens.size())}, step_ + kPad + 1, at::kLong);
    return Embed(model_.target_table_VD_, packing, model_.positions_, {}, false);
  }

  AttentionPlan SelfPlan() const {
    AttentionPlan plan;
    for (int64_t row = 0; row < static_cast<int64_t>(sentences_.size()); ++row) {
      plan.spans.push_back({.query_begin = row, .queries = 1, .key_begin = row * capacity_, .keys = step_ + 1});
    }
    return plan;
  }

  // Neighbouring rows of one sentence ask together.
  AttentionPlan CrossPlan() const {
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

  at::Tensor StepSelfAttention(const Attention& attention, int64_t layer, const at::Tensor& h_RD, const AttentionPlan& plan) {
    const int64_t dim = model_.config_.dim;
    const at::Tensor joint = attention.ProjectJoint(h_RD);
    cache_[layer].select(1, step_).copy_(joint.narrow(1, dim, 2 * dim));
    return attention.Attend(joint.narrow(1, 0, dim), cache_[layer].view({-1, 2 * dim}), plan);
  }

  EncoderDecoder& model_;
  const Packing& source_;
  Pass pass_;
  std::vector<at::Tensor> memory_;   // [M, 2D] a layer: keys and values of the source
  std::vector<at::Tensor> cache_;    // [R, capacity, 2D] a layer: keys and values of what is decoded already
  std::vector<int64_t> sentences_;   // of each row
  int64_t step_ = 0, capacity_ = 0;
};

Hypotheses EncoderDecoder::Decode(const at::Tensor& source_BS, const DecodeOptions& options) {
  const at::NoGradGuard no_grad;
  const Packing source = Pack(source_BS);
  Stepper stepper(*this, source);
  return BeamSearch(stepper, source.keys, options);
}

}  // namespace strata::model
