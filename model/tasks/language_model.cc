// Language model: one stack that predicts each next token of a text, scored by perplexity. With cut-offs its input and
// output are adaptive (model/layers/adaptive.h), without them one tied embedding.
#include <ATen/ATen.h>

#include <optional>
#include <stdexcept>

#include "model/data/text_blocks.h"
#include "model/layers/adaptive.h"
#include "model/layers/matrix_product.h"
#include "model/tasks/encoder_decoder.h"
#include "model/tasks/registry.h"
#include "model/tasks/transformer_model.h"

namespace strata::model {
namespace {

class LanguageModel final : public TransformerModel {
 public:
  LanguageModel(const ModelConfig& config_in, Construction construction)
      : TransformerModel(config_in, construction), positions_(config_in.dim) {
    CheckOptionsOfTask(config());
    CheckSmoothing();
    if (config().adaptive_cutoffs.empty()) {
      table_VD_ = AddEmbedding(config(), store(), "decoder.embed_tokens.weight", "decoder", Role::kEmbedding);
      store().AddAlias("decoder.output_projection.weight", "decoder.embed_tokens.weight");
    } else {
      adaptive_.emplace(config(), store());
    }
    decoder_ = std::make_unique<Stack>(config(), "decoder", config().decoder_layers, /*cross=*/false, store());
    Initialise({decoder_.get()});
  }

  LossSums Loss(const Batch& batch, bool training, LayerTaps* taps) override {
    Pass pass(training, taps);
    const Packing input = Pack(batch.target_input_BT);
    const at::Tensor targets_N = PackTargets(batch.target_BT, input), x_ND = Forward(input, pass);
    if (adaptive_) return adaptive_->Loss(x_ND, targets_N, pass);
    return ProjectedLoss(x_ND, table_VD_, targets_N, {config().label_smoothing, config().smooth_over_others},
                         config().precision);
  }

  at::Tensor Logits(const Batch& batch, LayerTaps* taps) override {
    Pass pass(/*training=*/false, taps);
    const Packing input = Pack(batch.target_input_BT);
    const at::Tensor x_ND = Forward(input, pass);
    return Unpack(adaptive_ ? adaptive_->LogProbabilities(x_ND) : at::log_softmax(Linear(x_ND, table_VD_, config().precision), 1),
                  input);
  }

  Hypotheses Decode(const Batch& batch, const DecodeOptions& options) override {
    throw std::logic_error("A language model has no source to decode from: it scores text.");
  }

 private:
  void CheckSmoothing() const {
    if (config().adaptive_cutoffs.empty() || config().label_smoothing == 0) return;
    throw std::invalid_argument(
        "train.label_smoothing is " + std::to_string(config().label_smoothing) +
        ", but the adaptive softmax that model.adaptive_cutoffs asks for has no label smoothing. Write "
        "train.label_smoothing: 0, or leave model.adaptive_cutoffs empty.");
  }

  at::Tensor Forward(const Packing& input, Pass& pass) {
    const at::Tensor kept_N = KeptWords(input, pass.Site(config().word_dropout), /*keep_first=*/true);
    const DropoutSite dropout = pass.Site(config().dropout);
    const at::Tensor x_ND = adaptive_ ? adaptive_->Embed(input, positions_, dropout, kept_N)
                                      : Embed(table_VD_, input, positions_, dropout, /*tied=*/true, kept_N);
    return decoder_->Forward(x_ND, PlanAttention(input, input, config().heads, /*causal=*/true), {}, nullptr, pass);
  }

  void ProfilePass(const Batch& batch, Pass& pass) override {
    Forward(Pack(batch.target_input_BT, /*keep_padding=*/true), pass);
  }

  Positions positions_;
  std::optional<AdaptiveVocabulary> adaptive_;
  at::Tensor table_VD_;  // where there are no cut-offs
  std::unique_ptr<Stack> decoder_;
};

[[maybe_unused]] const bool registered_perplexity = RegisterMetric(
    "perplexity", {.summary = "perplexity per word, exp(total NLL / (words + line ends)), and NLL in nats a token",
                   .higher_is_better = false,
                   .decodes = false,
                   .values = {"perplexity", "nll"}});

[[maybe_unused]] const bool registered_language_model =
    RegisterTask("language_model",
                 {.summary = "each next token of a text, decoder only",
                  .two_stacks = false,
                  .share_embeddings = {"all"},
                  .metrics = {"perplexity"},
                  .open = OpenTextBlocks},
                 [](const ModelConfig& config, Construction construction) {
                   return std::make_unique<LanguageModel>(config, construction);
                 });

}  // namespace
}  // namespace strata::model
