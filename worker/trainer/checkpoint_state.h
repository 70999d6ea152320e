// A training's state as JSON, for a checkpoint's metadata. Doubles come back as the same bits.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "worker/trainer/checkpoint.h"

namespace strata::trainer {

Json ToJson(const TrainingState& state, int64_t optimizer_steps);
// Throws nlohmann::json::exception for anything else than ToJson's.
void FromJson(const nlohmann::json& json, TrainingState* state, int64_t* optimizer_steps);

}  // namespace strata::trainer
