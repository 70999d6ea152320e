// Headline generation: a text's first sentences to its headline, by the translation's model, scored by ROUGE.
#include "model/tasks/encoder_decoder.h"
#include "model/tasks/registry.h"

namespace strata::model {
namespace {

[[maybe_unused]] const bool registered_rouge = RegisterMetric(
    "rouge",
    {.summary =
         "F1 of ROUGE-1, ROUGE-2 and ROUGE-L as rouge-score computes them (no stemming, mean over lines), in percent",
     .higher_is_better = true,
     .decodes = true,
     .values = {"rouge1", "rouge2", "rougeL"}});

[[maybe_unused]] const bool registered_headline =
    RegisterTask("headline",
                 {.summary = "a text to its headline, encoder and decoder",
                  .two_stacks = true,
                  .share_embeddings = {"all", "decoder", "none"},
                  .metrics = {"rouge"},
                  .open = OpenSentencePairs},
                 [](const ModelConfig& config, Construction construction) {
                   return std::make_unique<EncoderDecoder>(config, construction);
                 });

}  // namespace
}  // namespace strata::model
