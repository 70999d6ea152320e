// One pass over a batch, and what it shows of the layers: gradient norms of outputs, parameters and places inside, similarity of
// outputs, variances of sub-layers. What each costs stands in docs/DIAGNOSTICS.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/diagnostics/gradient_norms.h"

namespace strata::model {

// What to look at. Gradients ask for a backward pass; the others for a forward pass alone.
struct Inspection {
  bool output_gradients = false;
  bool parameter_gradients = false;
  bool similarity = false;
  bool variances = false;
  std::optional<std::string> location_layers;  // as LocationLayers takes it; nullopt: no places

  bool any() const { return output_gradients || parameter_gradients || similarity || variances || location_layers; }
};

// The full matrix of similarities is made of stacks to so many layers.
inline constexpr int64_t kMostSimilarityLayers = 100;

// Name of the measurement (docs/TRAINER.md) -> stack -> values.
using Vectors = std::map<std::string, NormsByStack>;

// Dropout off. Gradients are those of the summed loss, of parameters divided by the batch's target tokens (as a training step's
// are). Neither parameters' gradients nor random state are touched.
Vectors Inspect(SequenceModel& model, const Batch& batch, const Inspection& wanted);

// Layers (from 0) of a stack of `layers` that "1,9,last" names, in its order; -1 where the stack has no such layer. Empty
// text: the first, the middle and the last. Throws std::invalid_argument, a sentence, for what names no layers.
std::vector<int64_t> LocationLayers(const std::string& text, int64_t layers);

// Throws std::invalid_argument where `text` names no layers, or one beyond the deepest stack of `config`.
void CheckLocationLayers(const std::string& text, const ModelConfig& config);

}  // namespace strata::model
