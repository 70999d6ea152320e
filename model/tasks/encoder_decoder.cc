#include "model/tasks/encoder_decoder.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <stdexcept>
#include <utility>

#include "model/decode/beam_search.h"
#include "model/decode/cpu_decoder.h"
#include "model/decode/device_decoder.h"
#include "model/layers/device_path.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

// Pieces of a vocabulary.
class TextFrontEnd final : public SourceFrontEnd {
 public:
  TextFrontEnd(const ModelConfig& config, ParameterStore& store, Positions& positions)
      : config_(config),
        positions_(positions),
        table_VD_(AddEmbedding(config, store, "encoder.embed_tokens.weight", "encoder", Role::kEmbedding)) {}

  SourceRows Embed(const Batch& batch, Pass& pass, bool keep_padding) override {
    SourceRows rows{.packing = Pack(batch.source_BS, keep_padding)};
    const at::Tensor kept_N = KeptWords(rows.packing, pass.Site(config_.word_dropout), /*keep_first=*/false);
    rows.x_ND = model::Embed(table_VD_, rows.packing, positions_, pass.Site(config_.dropout),
                             config_.share_embeddings == "all", kept_N);
    return rows;
  }
  at::Tensor Table() const override { return table_VD_; }

 private:
  const ModelConfig& config_;
  Positions& positions_;
  at::Tensor table_VD_;
};

}  // namespace

void CheckOptionsOfTask(const ModelConfig& config) {
  const auto refuse = [&](const std::string& field, const std::string& value, const std::string& owner,
                          const std::string& remedy) {
    throw std::invalid_argument(field + " is " + value + ", which task.kind \"" + config.task +
                                "\" has no use for: it belongs to " + owner + ". " + remedy);
  };
  if (config.task != "language_model") {
    if (!config.adaptive_cutoffs.empty()) {
      std::string cutoffs;
      for (const int64_t cutoff : config.adaptive_cutoffs)
        cutoffs += (cutoffs.empty() ? "" : ",") + std::to_string(cutoff);
      refuse("model.adaptive_cutoffs", cutoffs, "language_model", "Leave it empty.");
    }
    if (config.adaptive_softmax_dropout > 0) {
      refuse("model.adaptive_softmax_dropout", std::to_string(config.adaptive_softmax_dropout), "language_model",
             "Write 0.");
    }
  }
  if (config.task != "speech") {
    for (const auto& [field, value] :
         {std::pair("train.frequency_masks", config.frequency_masks), {"train.time_masks", config.time_masks}}) {
      if (value > 0) refuse(field, std::to_string(value), "speech", "Write 0.");
    }
  }
}

at::Tensor AddEmbedding(const ModelConfig& config, ParameterStore& store, const std::string& name,
                        const std::string& stack, Role role) {
  return store.Add(name, {config.vocabulary, config.dim},
                   {{.name = name,
                     .role = role,
                     .stack = stack,
                     .fan_in = config.dim,
                     .fan_out = config.vocabulary,
                     .initial = Initial::Normal(1 / std::sqrt(static_cast<double>(config.dim))),
                     .zero_row = role == Role::kEmbedding ? kPad : -1}});
}

EncoderDecoder::EncoderDecoder(const ModelConfig& config, Construction construction)
    : EncoderDecoder(config, construction, [](const ModelConfig& c, ParameterStore& store, Positions& positions) {
        return std::make_unique<TextFrontEnd>(c, store, positions);
      }) {}

EncoderDecoder::EncoderDecoder(const ModelConfig& config_in, Construction construction,
                               const FrontEndFactory& front_end)
    : TransformerModel(config_in, construction), positions_(config_in.dim) {
  CheckOptionsOfTask(config());
  front_end_ = front_end(config(), store(), positions_);
  AddTargetEmbeddings();
  encoder_ = std::make_unique<Stack>(config(), "encoder", config().encoder_layers, /*cross=*/false, store());
  decoder_ = std::make_unique<Stack>(config(), "decoder", config().decoder_layers, /*cross=*/true, store());
  Initialise({encoder_.get(), decoder_.get()});
}

void EncoderDecoder::AddTargetEmbeddings() {
  if (config().share_embeddings == "all") {
    target_table_VD_ = front_end_->Table();
    store().AddAlias("decoder.embed_tokens.weight", "encoder.embed_tokens.weight");
    store().AddAlias("decoder.output_projection.weight", "encoder.embed_tokens.weight");
  } else {
    target_table_VD_ = AddEmbedding(config(), store(), "decoder.embed_tokens.weight", "decoder", Role::kEmbedding);
  }
  output_table_VD_ = target_table_VD_;
  if (config().share_embeddings == "decoder") {
    store().AddAlias("decoder.output_projection.weight", "decoder.embed_tokens.weight");
  } else if (config().share_embeddings == "none") {
    output_table_VD_ = AddEmbedding(config(), store(), "decoder.embed_out", "decoder", Role::kOutput);
  }
}

std::vector<NamedView> EncoderDecoder::FairseqViews() const {
  std::vector<NamedView> views = TransformerModel::FairseqViews();
  for (NamedView& view : views) view.name = front_end_->FairseqName(view.name);
  return views;
}

at::Tensor EncoderDecoder::Encode(const SourceRows& source, Pass& pass) {
  return encoder_->Forward(source.x_ND, PlanAttention(source.packing, source.packing, config().heads, /*causal=*/false),
                           {}, nullptr, pass);
}

at::Tensor EncoderDecoder::Forward(const SourceRows& source, const Packing& target, Pass& pass) {
  const at::Tensor memory_MD = Encode(source, pass);
  const at::Tensor kept_N = KeptWords(target, pass.Site(config().word_dropout), /*keep_first=*/true);
  const at::Tensor x_ND = Embed(target_table_VD_, target, positions_, pass.Site(config().dropout),
                                config().share_embeddings != "none", kept_N);
  return decoder_->Forward(x_ND, PlanAttention(target, target, config().heads, /*causal=*/true), memory_MD,
                           PlanAttention(target, source.packing, config().heads, /*causal=*/false), pass);
}

LossSums EncoderDecoder::Loss(const Batch& batch, bool training, LayerTaps* taps) {
  Pass pass(training, taps);
  const SourceRows source = front_end_->Embed(batch, pass, /*keep_padding=*/false);
  const Packing target = Pack(batch.target_input_BT);
  const at::Tensor targets_N = PackTargets(batch.target_BT, target);
  return ProjectedLoss(Forward(source, target, pass), output_table_VD_, targets_N,
                       {config().label_smoothing, config().smooth_over_others}, config().precision);
}

at::Tensor EncoderDecoder::Logits(const Batch& batch, LayerTaps* taps) {
  Pass pass(/*training=*/false, taps);
  const SourceRows source = front_end_->Embed(batch, pass, /*keep_padding=*/false);
  const Packing target = Pack(batch.target_input_BT);
  return Unpack(Linear(Forward(source, target, pass), output_table_VD_, config().precision), target);
}

void EncoderDecoder::ProfilePass(const Batch& batch, Pass& pass) {
  const SourceRows source = front_end_->Embed(batch, pass, /*keep_padding=*/true);
  Forward(source, Pack(batch.target_input_BT, /*keep_padding=*/true), pass);
}

Hypotheses EncoderDecoder::Decode(const Batch& batch, const DecodeOptions& options) {
  const at::NoGradGuard no_grad;
  Pass pass(/*training=*/false, nullptr);
  const SourceRows source = front_end_->Embed(batch, pass, /*keep_padding=*/false);
  const TargetTables tables{.target_VD = target_table_VD_, .output_VD = output_table_VD_};
  const at::Tensor memory_MD = Encode(source, pass);
  if (!UsesKernels(memory_MD)) {
    DeviceDecoder decoder(config(), *decoder_, tables, positions_, memory_MD, source.packing);
    return BeamSearch(decoder, source.packing.keys, options);
  }
  CpuDecoder decoder(config(), *decoder_, tables, positions_, memory_MD, source.packing);
  return BeamSearch(decoder, source.packing.keys, options);
}

}  // namespace strata::model
