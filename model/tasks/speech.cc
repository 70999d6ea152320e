// Speech recognition (fairseq's s2t_transformer): filter banks of a clip to its transcript, scored by word error rate.
// Two strided convolutions stand before the encoder.
//
// As in fairseq the convolutions run over clips that are padded with zeros to the batch's longest, and nothing is
// masked between them: behind a clip's end the first one gives what its bias makes of zeros, and the second reads two
// frames of that. So the last encoder position of a clip depends, slightly, on whether a longer clip stood in its
// batch.
#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "model/data/clips.h"
#include "model/layers/add_norm.h"
#include "model/layers/convolution.h"
#include "model/layers/device_path.h"
#include "model/layers/spec_augment.h"
#include "model/tasks/encoder_decoder.h"
#include "model/tasks/registry.h"

namespace strata::model {
namespace {

class SpeechFrontEnd final : public SourceFrontEnd {
 public:
  SpeechFrontEnd(const ModelConfig& config, ParameterStore& store, Positions& positions)
      : config_(config),
        positions_(positions),
        first_(store, "encoder.subsample.conv_layers.0", config.feature_bins, EvenChannels(config), config.precision),
        second_(store, "encoder.subsample.conv_layers.1", config.convolution_channels / 2, 2 * config.dim, config.precision),
        masks_{config.frequency_masks, config.frequency_mask_bins, config.time_masks, config.time_mask_frames} {}

  SourceRows Embed(const Batch& batch, Pass& pass, bool keep_padding) override {
    CheckBatch(batch);
    at::Tensor features_BSF = batch.source_features_BSF.contiguous();
    if (pass.training() && masks_.any())
      features_BSF = Mask(features_BSF, batch.source_frames, masks_, pass.Site(kAnyRate).seed);
    const int64_t frames = features_BSF.size(1);
    std::vector<int64_t> lengths;
    for (const int64_t clip : batch.source_frames) lengths.push_back(HalfLength(HalfLength(clip)));
    SourceRows rows{.packing = PackLengths(lengths, HalfLength(HalfLength(frames)), keep_padding)};
    const auto [plan1, plan2] = PlanConvolutions(rows.packing, frames);
    at::Tensor x = CopyTo(features_BSF, first_.weight().device()).to(first_.weight().scalar_type()).view({-1, config_.feature_bins});
    x = at::glu(first_(x, plan1), 1);
    x = at::glu(second_(x, plan2), 1) * std::sqrt(static_cast<double>(config_.dim));
    rows.x_ND = Dropout(x + positions_.Of(rows.packing, x), pass.Site(config_.dropout));
    return rows;
  }

  std::string FairseqName(const std::string& name) const override {
    const std::string layers = "encoder.layers.";
    if (name.compare(0, layers.size(), layers) == 0) return "encoder.transformer_layers." + name.substr(layers.size());
    return name == "decoder.embed_out" ? "decoder.output_projection.weight" : name;
  }

 private:
  static constexpr double kAnyRate = 0.5;  // a site needs one to have a seed

  static int64_t EvenChannels(const ModelConfig& config) {
    if (config.convolution_channels < 2 || config.convolution_channels % 2 != 0) {
      throw std::invalid_argument("model.convolution_channels is " + std::to_string(config.convolution_channels) +
                                  ": its gated linear unit takes halves, choose an even number of at least 2.");
    }
    return config.convolution_channels;
  }

  void CheckBatch(const Batch& batch) const {
    const at::Tensor& features = batch.source_features_BSF;
    if (!features.defined() || features.dim() != 3 || !features.is_floating_point() ||
        features.size(0) != static_cast<int64_t>(batch.source_frames.size())) {
      throw std::invalid_argument(
          "a batch of speech needs features [clips, frames, bins] and the frames of each clip.");
    }
    if (!features.is_cpu())
      throw std::invalid_argument("a batch stands on the CPU: the model copies what its device needs.");
    if (features.size(2) != config_.feature_bins) {
      throw std::invalid_argument("the dataset's clips have " + std::to_string(features.size(2)) +
                                  " filter banks, but this model was made for " + std::to_string(config_.feature_bins) +
                                  ". Choose a dataset with as many, or train a model on this one.");
    }
    for (const int64_t frames : batch.source_frames) {
      if (frames < 1 || frames > features.size(1)) {
        throw std::invalid_argument("a clip has " + std::to_string(frames) + " frames in a batch of " +
                                    std::to_string(features.size(1)) + ".");
      }
    }
  }

  // Which rows the convolutions compute: the second the encoder's, the first what those read of the padded batch.
  static std::pair<std::shared_ptr<ConvolutionPlan>, std::shared_ptr<ConvolutionPlan>> PlanConvolutions(
      const Packing& packing, int64_t frames) {
    auto first = std::make_shared<ConvolutionPlan>(), second = std::make_shared<ConvolutionPlan>();
    constexpr int64_t kReach = Convolution::kKernel - Convolution::kPadding;
    for (int64_t b = 0; b < packing.batch; ++b) {
      const int64_t out = packing.begin[b + 1] - packing.begin[b];
      const int64_t between = std::min(HalfLength(frames), (out - 1) * Convolution::kStride + kReach);
      first->clips.push_back(
          {.in_begin = b * frames, .in_rows = frames, .out_begin = first->out_rows, .out_rows = between});
      second->clips.push_back(
          {.in_begin = first->out_rows, .in_rows = between, .out_begin = packing.begin[b], .out_rows = out});
      first->out_rows += between;
    }
    second->out_rows = packing.rows;
    return {first, second};
  }

  const ModelConfig& config_;
  Positions& positions_;
  Convolution first_, second_;
  SpecAugment masks_;
};

[[maybe_unused]] const bool registered_wer = RegisterMetric(
    "wer", {.summary = "word error rate as jiwer computes it, total edits over total reference words, in percent",
            .higher_is_better = false,
            .decodes = true,
            .values = {"wer"}});

[[maybe_unused]] const bool registered_speech = RegisterTask(
    "speech",
    {.summary = "filter banks of a clip to its transcript, encoder and decoder behind two strided convolutions",
     .two_stacks = true,
     .share_embeddings = {"decoder", "none"},
     .metrics = {"wer"},
     .open = OpenClips},
    [](const ModelConfig& config, Construction construction) {
      return std::make_unique<EncoderDecoder>(config, construction,
                                              [](const ModelConfig& c, ParameterStore& store, Positions& positions) {
                                                return std::make_unique<SpeechFrontEnd>(c, store, positions);
                                              });
    });

}  // namespace
}  // namespace strata::model
