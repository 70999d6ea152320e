#include "worker/trainer/checkpoint_state.h"

#include <limits>

namespace strata::trainer {
namespace {

double ToDouble(const nlohmann::json& json) {
  if (json == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (json == "Infinity") return std::numeric_limits<double>::infinity();
  if (json == "-Infinity") return -std::numeric_limits<double>::infinity();
  return json.get<double>();
}

}  // namespace

Json ToJson(const TrainingState& state, int64_t optimizer_steps) {
  Json validations = Json::array();
  for (const model::Validation& v : state.validations) {
    validations.push_back({{"update", v.update},
                           {"nll", NumberJson(v.nll)},
                           {"loss", NumberJson(v.loss)},
                           {"gradient_norm", NumberJson(v.gradient_norm)},
                           {"layer_ratio", v.layer_ratio ? NumberJson(*v.layer_ratio) : Json(nullptr)}});
  }
  return {{"update", state.update},
          {"epoch", state.position.epoch},
          {"batch", state.position.batch},
          {"optimizer_steps", optimizer_steps},
          {"loss_sum", NumberJson(state.loss_sum)},
          {"nll_sum", NumberJson(state.nll_sum)},
          {"target_tokens", state.target_tokens},
          {"loss_seen", NumberJson(state.loss_seen)},
          {"gradient_norm_seen", NumberJson(state.gradient_norm_seen)},
          {"best_update", state.best_update},
          {"validations", validations}};
}

void FromJson(const nlohmann::json& json, TrainingState* state, int64_t* optimizer_steps) {
  state->update = json.at("update");
  state->position = {.epoch = json.at("epoch"), .batch = json.at("batch")};
  *optimizer_steps = json.at("optimizer_steps");
  state->loss_sum = ToDouble(json.at("loss_sum"));
  state->nll_sum = ToDouble(json.at("nll_sum"));
  state->target_tokens = json.at("target_tokens");
  state->loss_seen = ToDouble(json.at("loss_seen"));
  state->gradient_norm_seen = ToDouble(json.at("gradient_norm_seen"));
  state->best_update = json.at("best_update");
  for (const auto& v : json.at("validations")) {
    auto& validation = state->validations.emplace_back();
    validation.update = v.at("update");
    validation.nll = ToDouble(v.at("nll"));
    validation.loss = ToDouble(v.at("loss"));
    validation.gradient_norm = ToDouble(v.at("gradient_norm"));
    if (!v.at("layer_ratio").is_null()) validation.layer_ratio = ToDouble(v.at("layer_ratio"));
  }
}

}  // namespace strata::trainer
