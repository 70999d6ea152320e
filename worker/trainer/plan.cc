#include "worker/trainer/plan.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "model/tasks/task.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {

nlohmann::ordered_json Plan(const TrialSpec& spec, int64_t vocabulary) {
  const model::ModelConfig config = ToModelConfig(spec, vocabulary);
  int64_t parameters = 0;
  try {
    for (const auto& parameter : model::CreateModel(config, model::Construction::kShapesOnly)->Parameters()) parameters += parameter.tensor.numel();
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
  const auto d = static_cast<double>(config.dim), ffn = static_cast<double>(config.ffn_dim),
             v = static_cast<double>(vocabulary);
  const auto encoder = static_cast<double>(config.encoder_layers), decoder = static_cast<double>(config.decoder_layers);
  const auto tokens = static_cast<double>(spec.train.max_tokens);  // a side
  const double length = std::min(tokens, spec.train.max_length > 0 ? static_cast<double>(spec.train.max_length) : 64.0);
  const double cross = config.encoder_layers > 0 ? 1 : 0;
  // Multiplications a token: projections and FFN of each layer, attention over `length`, output.
  const double a_token = encoder * (4 * d * d + 2 * d * ffn + 2 * length * d) +
                         decoder * ((4 + 4 * cross) * d * d + 2 * d * ffn + (2 + 2 * cross) * length * d) + d * v;
  const double flops_per_update = 3 * 2 * a_token * tokens * static_cast<double>(spec.train.update_frequency);
  // Floats kept a token and layer: projections' inputs and outputs, sums, norms, FFN.
  const double kept = encoder * (12 * d + 2 * ffn) + decoder * ((12 + 6 * cross) * d + 2 * ffn) + 2 * v;
  const double weights = 4.0 * static_cast<double>(parameters), activations = 4 * kept * tokens;
  const auto whole = [](double value) { return static_cast<int64_t>(value); };
  return {{"vocabulary", vocabulary},
          {"parameters", parameters},
          {"flops_per_update", whole(flops_per_update)},
          {"updates", spec.train.updates},
          {"flops", flops_per_update * static_cast<double>(spec.train.updates)},
          {"memory_bytes",
           {{"weights", whole(weights)},
            {"gradients", whole(weights)},
            {"optimizer", whole(2 * weights)},
            {"activations", whole(activations)},
            {"total", whole(4 * weights + activations)}}},
          {"checkpoint_bytes", whole(3 * weights)}};
}

}  // namespace strata::trainer
