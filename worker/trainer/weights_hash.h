// The hash that says whether two sets of tensors are the same bits.
#pragma once

#include <string>
#include <vector>

#include "model/data/safetensors.h"
#include "model/tasks/task.h"

namespace strata::trainer {

// SHA-256 over the tensors in order of their names: name, a zero byte, the bytes; then `also`. Any thread.
std::string TensorsHash(model::NamedTensors tensors, const std::string& also = "");

// The same of parameters.
std::string WeightsHash(const std::vector<model::NamedParameter>& parameters);

}  // namespace strata::trainer
