#include "model/diagnostics/inspect.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>

#include "model/diagnostics/similarity.h"

namespace strata::model {
namespace {

// The places (1) to (5): measurement, and the tap's name (model/layers/layer_taps.h).
struct Location {
  const char* measurement;
  const char* tap;
  bool in_cross_attention;
};
constexpr Location kLocations[] = {
    {"gradient_norm_location_1_before_self_attention_norm", "self_attention_before_norm", false},
    {"gradient_norm_location_2_after_self_attention_norm", "self_attention_after_norm", false},
    {"gradient_norm_location_3_before_cross_attention_norm", "cross_attention_before_norm", true},
    {"gradient_norm_location_4_after_cross_attention_norm", "cross_attention_after_norm", true},
    {"gradient_norm_location_5_before_ffn_norm", "ffn_before_norm", false},
};

int64_t LayersOf(const ModelConfig& config, const std::string& stack) {
  return stack == "encoder" ? config.encoder_layers : config.decoder_layers;
}

double Norm(const at::Tensor& gradient) {
  if (!gradient.defined()) return 0;
  return at::linalg_vector_norm(gradient, 2, std::nullopt, false, at::kDouble).item<double>();
}

// The tensors whose gradients are wanted, each with what becomes of its norm.
class GradientNorms {
 public:
  void Ask(const at::Tensor& tensor, std::function<void(double)> take) {
    tensors_.push_back(tensor);
    take_.push_back(std::move(take));
  }
  // One backward pass.
  void Take(const at::Tensor& loss) const {
    if (tensors_.empty()) return;
    const std::vector<at::Tensor> gradients =
        torch::autograd::grad({loss}, tensors_, {}, /*retain_graph=*/std::nullopt, /*create_graph=*/false, /*allow_unused=*/true);
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < gradients.size(); ++i) take_[i](Norm(gradients[i]));
  }

 private:
  std::vector<at::Tensor> tensors_;
  std::vector<std::function<void(double)>> take_;
};

void AskOutputs(const LayerTaps& taps, GradientNorms& ask, Vectors& vectors) {
  for (const auto& [name, stack] : taps.stacks) {
    std::vector<double>& norms = vectors["gradient_norm_output"][name];
    norms.resize(stack.outputs_ND.size());
    for (size_t layer = 0; layer < norms.size(); ++layer) {
      double* norm = &norms[layer];
      ask.Ask(stack.outputs_ND[layer], [norm](double value) { *norm = value; });
    }
  }
}

void AskLocations(const LayerTaps& taps, const ModelConfig& config, const std::string& text, GradientNorms& ask, Vectors& vectors) {
  for (const auto& [name, stack] : taps.stacks) {
    const bool cross = name == "decoder" && config.encoder_layers > 0;
    const std::vector<int64_t> layers = LocationLayers(text, LayersOf(config, name));
    for (const Location& location : kLocations) {
      if (location.in_cross_attention && !cross) continue;
      std::vector<double>& norms = vectors[location.measurement][name];
      norms.assign(layers.size(), std::numeric_limits<double>::quiet_NaN());
      for (size_t i = 0; i < layers.size(); ++i) {
        const auto places = stack.locations.find(layers[i]);
        if (places == stack.locations.end()) continue;
        const auto place = places->second.find(location.tap);
        if (place == places->second.end()) continue;
        double* norm = &norms[i];
        ask.Ask(place->second, [norm](double value) { *norm = value; });
      }
    }
  }
}

// Squares are summed first, for a layer's norm is over all its parameters.
void AskParameters(const SequenceModel& model, GradientNorms& ask, NormsByStack& squares) {
  for (const auto& [name, tensor] : model.Parameters()) {
    const size_t dot = name.find(".layers.");
    if (dot == std::string::npos) continue;
    const std::string stack = name.substr(0, dot);
    const auto layer = static_cast<size_t>(std::stoll(name.substr(dot + 8)));
    std::vector<double>& of_stack = squares[stack];
    of_stack.resize(static_cast<size_t>(LayersOf(model.config(), stack)));
    double* square = &of_stack.at(layer);
    ask.Ask(tensor, [square](double value) { *square += value * value; });
  }
}

void AddForward(const LayerTaps& taps, const Inspection& wanted, Vectors& vectors) {
  for (const auto& [name, stack] : taps.stacks) {
    for (const auto& [sublayer, values] : stack.variances) vectors["variance_" + sublayer][name] = values;
    if (!wanted.similarity) continue;
    const auto layers = static_cast<int64_t>(stack.outputs_ND.size());
    if (layers > kMostSimilarityLayers) {
      vectors["similarity_to_last"][name] = SimilarityToLast(stack.outputs_ND);
      continue;
    }
    const std::vector<double>& all = vectors["similarity"][name] = Similarity(stack.outputs_ND);
    vectors["similarity_to_last"][name] = {all.end() - layers, all.end()};
  }
}

}  // namespace

Vectors Inspect(SequenceModel& model, const Batch& batch, const Inspection& wanted) {
  const bool gradients = wanted.output_gradients || wanted.parameter_gradients || wanted.location_layers;
  const at::AutoGradMode mode(gradients);
  LayerTaps taps;
  taps.variances = wanted.variances;
  if (wanted.location_layers) {
    for (const int64_t layers : {model.config().encoder_layers, model.config().decoder_layers}) {
      if (layers == 0) continue;
      for (const int64_t layer : LocationLayers(*wanted.location_layers, layers)) taps.location_layers.insert(layer);
    }
  }
  const LossSums sums = model.Loss(batch, /*training=*/false, &taps);
  Vectors vectors;
  AddForward(taps, wanted, vectors);
  GradientNorms ask;
  NormsByStack squares;
  if (wanted.output_gradients) AskOutputs(taps, ask, vectors);
  if (wanted.location_layers) AskLocations(taps, model.config(), *wanted.location_layers, ask, vectors);
  if (wanted.parameter_gradients) AskParameters(model, ask, squares);
  ask.Take(sums.loss);
  for (const auto& [stack, values] : squares) {
    for (const double square : values)
      vectors["gradient_norm_parameters"][stack].push_back(std::sqrt(square) / static_cast<double>(batch.target_tokens));
  }
  return vectors;
}

std::vector<int64_t> LocationLayers(const std::string& text, int64_t layers) {
  if (text.empty()) return {0, (layers + 1) / 2 - 1, layers - 1};
  std::vector<int64_t> chosen;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    std::string item = text.substr(begin, end - begin);
    item.erase(0, item.find_first_not_of(' '));
    item.erase(item.find_last_not_of(' ') + 1);
    int64_t number = 0;
    const auto [stop, error] = std::from_chars(item.data(), item.data() + item.size(), number);
    const bool is_number = error == std::errc() && stop == item.data() + item.size() && number >= 1;
    if (!is_number && item != "last") {
      throw std::invalid_argument("diagnostics.location_layers: \"" + text + "\" names no layers: \"" + item +
                                  "\" is neither a number from 1 nor \"last\". Write them as 1,9,last.");
    }
    if (!is_number) number = layers;
    chosen.push_back(number <= layers ? number - 1 : -1);
    begin = end + 1;
  }
  return chosen;
}

void CheckLocationLayers(const std::string& text, const ModelConfig& config) {
  const int64_t deepest = std::max(config.encoder_layers, config.decoder_layers);
  for (const int64_t layer : LocationLayers(text, deepest)) {
    if (layer >= 0) continue;
    throw std::invalid_argument("diagnostics.location_layers: \"" + text + "\" names a layer beyond the deepest stack, which has " +
                                std::to_string(deepest) + ". Choose layers from 1 to " + std::to_string(deepest) + ", or last.");
  }
}

}  // namespace strata::model
