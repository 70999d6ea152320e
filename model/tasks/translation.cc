// Translation: a sentence of one language to one of another, scored by BLEU.
#include "model/tasks/encoder_decoder.h"
#include "model/tasks/registry.h"

namespace strata::model {
namespace {

[[maybe_unused]] const bool registered_bleu =
    RegisterMetric("bleu", {.summary = "BLEU as sacreBLEU computes it (13a, case-sensitive, exponential smoothing), in percent",
                            .higher_is_better = true,
                            .decodes = true,
                            .values = {"bleu", "bleu_precision_1", "bleu_precision_2", "bleu_precision_3", "bleu_precision_4",
                                       "bleu_brevity_penalty"}});

[[maybe_unused]] const bool registered_translation =
    RegisterTask("translation",
                 {.summary = "sentences from one language to another, encoder and decoder",
                  .two_stacks = true,
                  .share_embeddings = {"all", "decoder", "none"},
                  .metrics = {"bleu"},
                  .open = OpenSentencePairs},
                 [](const ModelConfig& config, Construction construction) {
                   return std::make_unique<EncoderDecoder>(config, construction);
                 });

}  // namespace
}  // namespace strata::model
