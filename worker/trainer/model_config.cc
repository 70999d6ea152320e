#include <stdexcept>

#include "worker/trainer/failure.h"
#include "worker/trainer/spec.h"

namespace strata::trainer {

model::ModelConfig ToModelConfig(const TrialSpec& spec, int64_t vocabulary) {
  try {
    const model::Depth depth = model::ParseDepth(spec.model.depth);
    model::ModelConfig config{.task = spec.task.kind,
                              .scheme = spec.model.scheme,
                              .encoder_layers = depth.encoder,
                              .decoder_layers = depth.decoder,
                              .dim = spec.model.dim,
                              .ffn_dim = spec.model.ffn_dim,
                              .heads = spec.model.heads,
                              .vocabulary = vocabulary,
                              .share_embeddings = spec.model.share_embeddings,
                              .dropout = spec.model.dropout,
                              .attention_dropout = spec.model.attention_dropout,
                              .activation_dropout = spec.model.activation_dropout,
                              .label_smoothing = spec.train.label_smoothing,
                              .rescale_init = spec.model.rescale_init};
    model::Validate(config);
    return config;
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
}

}  // namespace strata::trainer
