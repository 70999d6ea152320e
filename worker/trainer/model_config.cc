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
                              .smooth_over_others = spec.train.smooth_over == "others",
                              .rescale_init = spec.model.rescale_init,
                              .depth_scaled_init = spec.model.depth_scaled_init,
                              .scheme_options = spec.model.scheme_options,
                              .word_dropout = spec.model.word_dropout,
                              .adaptive_cutoffs = model::ParseCutoffs(spec.model.adaptive_cutoffs),
                              .adaptive_factor = spec.model.adaptive_factor,
                              .adaptive_softmax_dropout = spec.model.adaptive_softmax_dropout,
                              .precision = model::ParsePrecision(spec.train.precision),
                              .convolution_channels = spec.model.convolution_channels,
                              .frequency_masks = spec.train.frequency_masks,
                              .frequency_mask_bins = spec.train.frequency_mask_bins,
                              .time_masks = spec.train.time_masks,
                              .time_mask_frames = spec.train.time_mask_frames};
    model::Validate(config);
    return config;
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
}

}  // namespace strata::trainer
