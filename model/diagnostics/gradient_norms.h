// Gradient norms by layer: where gradients vanish or explode (the paper's Fig. 3).
//
// Cost: one forward pass and the part of the backward pass that leads through activations (weights' gradients are not
// computed): 0.26 processor seconds beside 0.38 for an update at 18L-18L, width 64, 1,024 tokens, one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "model/optim/flat_parameters.h"
#include "model/tasks/task.h"

namespace strata::model {

// Stack ("encoder", "decoder") -> one value a layer, from the first.
using NormsByStack = std::map<std::string, std::vector<double>>;

// L2 norm of d(summed label-smoothed loss) / d(layer's output) over all positions of `batch`, dropout off. Neither
// parameters' gradients nor random state are touched.
NormsByStack OutputGradientNorms(SequenceModel& model, const Batch& batch);

// L2 norm of each layer's parameters' gradients as they stand in `flat`, times `scale`. Layers are found by their
// parameters' names, "<stack>.layers.<number>.".
NormsByStack ParameterGradientNorms(const FlatParameters& flat, const ModelConfig& config, double scale);

}  // namespace strata::model
