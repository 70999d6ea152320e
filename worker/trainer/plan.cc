#include "worker/trainer/plan.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

// Where no dataset says it.
constexpr double kUsualLength = 64;           // subwords of a sentence's longer side
constexpr double kUsualFrames = 1200;         // of a clip: 12 seconds
constexpr double kTargetTokensAFrame = 0.035;  // LibriSpeech with a unigram vocabulary of 10k

// A front end's convolutions: each is 3-dimensional, of stride 2.
std::vector<at::Tensor> Convolutions(const model::SequenceModel& model) {
  std::vector<at::Tensor> found;
  for (const auto& [name, tensor] : model.Parameters()) {
    if (tensor.dim() == 3) found.push_back(tensor);
  }
  return found;
}

// Of the positions' tokens, the share in the band of ids [begin, end) where frequency falls as 1/rank.
double BandShare(double begin, double end, double vocabulary) { return (std::log(end) - std::log(std::max(1.0, begin))) / std::log(vocabulary); }

// Multiplications a target position in embedding's and output's products; `floats`: what they keep.
double OutputProducts(const model::ModelConfig& config, double* floats) {
  const auto d = static_cast<double>(config.dim), v = static_cast<double>(config.vocabulary);
  if (config.adaptive_cutoffs.empty()) {
    *floats = 2 * v;
    return d * v;
  }
  const auto first = static_cast<double>(config.adaptive_cutoffs[0]), bands = static_cast<double>(config.adaptive_cutoffs.size());
  double products = d * (first + bands), width = d;
  *floats = 2 * (first + bands);
  for (size_t k = 0; k < config.adaptive_cutoffs.size(); ++k) {
    const auto begin = static_cast<double>(config.adaptive_cutoffs[k]);
    const double end = k + 1 < config.adaptive_cutoffs.size() ? static_cast<double>(config.adaptive_cutoffs[k + 1]) : v;
    if (end <= begin) continue;
    const double share = BandShare(begin, end, v);
    width = std::max(1.0, std::floor(width / static_cast<double>(config.adaptive_factor)));
    products += share * (2 * d * width + width * (end - begin));
    *floats += share * 2 * (end - begin);
  }
  return products;
}

}  // namespace

Shape ShapeOf(const TrialSpec& spec, const model::SequenceModel& model, const model::Manifest* manifest) {
  const bool speech = !Convolutions(model).empty(), one_stack = model.config().encoder_layers == 0;
  Shape shape{.length = speech ? kUsualFrames : one_stack ? static_cast<double>(spec.train.block_tokens) : kUsualLength};
  if (one_stack) shape.source_share = 0;
  if (speech) shape.target_share = kTargetTokensAFrame;
  if (manifest == nullptr || !manifest->splits.contains("train") || one_stack) return shape;
  const model::DatasetSplit& split = manifest->Split("train");
  const auto sentences = static_cast<double>(std::max<uint64_t>(1, split.sentences));
  const double source = static_cast<double>(speech ? split.frames : split.source_tokens + split.sentences) / sentences;
  const double target = static_cast<double>(split.target_tokens + split.sentences) / sentences;
  if (source <= 0 || target <= 0) return shape;
  shape.length = std::max(source, target);
  shape.source_share = source / shape.length;
  shape.target_share = target / shape.length;
  return shape;
}

Cost CostOf(const model::SequenceModel& model, const Shape& shape) {
  const model::ModelConfig& config = model.config();
  const auto d = static_cast<double>(config.dim), ffn = static_cast<double>(config.ffn_dim);
  const auto encoder = static_cast<double>(config.encoder_layers), decoder = static_cast<double>(config.decoder_layers);
  double source = shape.source_share, source_length = shape.length * shape.source_share, products = 0, floats = 0;
  for (const at::Tensor& weights : Convolutions(model)) {
    source /= 2;
    source_length /= 2;
    products += source * static_cast<double>(weights.numel());
    floats += source * 2 * static_cast<double>(weights.size(0));
  }
  const double target = shape.target_share, target_length = shape.length * shape.target_share, cross = config.encoder_layers > 0 ? 1 : 0;
  // Projections and FFN of each layer, attention over the length.
  products += source * encoder * (4 * d * d + 2 * d * ffn + 2 * source_length * d);
  products += target * decoder * ((4 + 2 * cross) * d * d + 2 * d * ffn + 2 * (target_length / 2 + cross * source_length) * d);
  products += source * decoder * cross * 2 * d * d;  // keys and values of the encoder's output
  double output_floats = 0;
  products += target * OutputProducts(config, &output_floats);
  // Floats kept a position and layer: inputs and outputs of projections, sums and norms, the FFN's inner layer.
  floats += source * encoder * (9 * d + ffn) + target * decoder * ((9 + 4 * cross) * d + ffn) + source * decoder * cross * 2 * d;
  floats += target * output_floats;
  return {.forward_flops = 2 * products, .activation_bytes = 4 * floats};
}

int64_t ProbeTokens(const TrialSpec& spec, const model::SequenceModel& model, const model::Manifest& manifest) {
  const Cost cost = CostOf(model, ShapeOf(spec, model, &manifest));
  const double most = std::min(kProbeFlops / (3 * cost.forward_flops), kProbeBytes / cost.activation_bytes);
  return std::min(spec.train.max_tokens, std::max(kProbeLeast, static_cast<int64_t>(most)));
}

nlohmann::ordered_json Plan(const TrialSpec& spec, int64_t vocabulary, const model::Manifest* manifest) {
  std::unique_ptr<model::SequenceModel> model;
  try {
    model::ModelConfig config = ToModelConfig(spec, vocabulary);
    if (manifest != nullptr && manifest->features.bins > 0) config.feature_bins = manifest->features.bins;
    model = model::CreateModel(config, model::Construction::kShapesOnly);
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
  int64_t parameters = 0;
  for (const auto& parameter : model->Parameters()) parameters += parameter.tensor.numel();
  const Shape shape = ShapeOf(spec, *model, manifest);
  const Cost cost = CostOf(*model, shape);
  const auto tokens = static_cast<double>(spec.train.max_tokens);
  const double flops_per_update = 3 * cost.forward_flops * tokens * static_cast<double>(spec.train.update_frequency);
  const double weights = 4.0 * static_cast<double>(parameters), activations = cost.activation_bytes * tokens;
  const double gradients = spec.resources.ranks > 1 ? 2 * weights : weights;  // of several ranks: and their buckets
  const double checkpoint = 3 * weights;                                      // in memory while it is written
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  return {{"vocabulary", vocabulary},
          {"parameters", parameters},
          {"positions", {{"source", whole(tokens * shape.source_share)}, {"target", whole(tokens * shape.target_share)}}},
          {"flops_per_update", whole(flops_per_update)},
          {"updates", spec.train.updates},
          {"flops", flops_per_update * static_cast<double>(spec.train.updates)},
          {"memory_bytes",
           {{"weights", whole(weights)},
            {"gradients", whole(gradients)},
            {"optimizer", whole(2 * weights)},
            {"activations", whole(activations)},
            {"checkpoint", whole(checkpoint)},
            {"total", whole(3 * weights + gradients + activations + checkpoint)}}},
          {"checkpoint_bytes", whole(checkpoint)},
          {"weights_bytes", whole(weights)}};
}

}  // namespace strata::trainer
