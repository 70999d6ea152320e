#include "model/config.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace strata::model {
namespace {

[[noreturn]] void NoDepth(std::string_view text, const std::string& why) {
  throw std::invalid_argument("depth: \"" + std::string(text) + "\" is no depth: " + why +
                              ". Write encoder and decoder layers as 18L-18L, or one stack as 16L.");
}

// The number of one half, "18L" -> 18.
int64_t ParseLayers(std::string_view whole, std::string_view half, const char* stack) {
  if (half.empty()) NoDepth(whole, std::string("the ") + stack + " is missing");
  int64_t layers = 0;
  const auto [end, error] = std::from_chars(half.data(), half.data() + half.size(), layers);
  if (error == std::errc::result_out_of_range) NoDepth(whole, std::string("the ") + stack + " has too many layers");
  if (error != std::errc() || half[0] == '-') NoDepth(whole, std::string("the ") + stack + " has no number of layers");
  const std::string_view rest(end, half.data() + half.size() - end);
  if (rest != "L") {
    NoDepth(whole, rest.empty() ? "an L stands after each number, write 6L-6L"
                                : "\"" + std::string(rest) + "\" stands where one L belongs");
  }
  if (layers < 1) NoDepth(whole, std::string("the ") + stack + " needs at least one layer");
  if (layers > 10000) NoDepth(whole, std::string("the ") + stack + " has more than 10000 layers");
  return layers;
}

[[noreturn]] void Refuse(const std::string& field, const std::string& value, const std::string& remedy) {
  throw std::invalid_argument("model." + field + " is " + value + ": " + remedy + ".");
}

void CheckRate(const char* field, double rate) {
  if (!(rate >= 0 && rate < 1)) Refuse(field, std::to_string(rate), "a rate is at least 0 and below 1");
}

}  // namespace

Depth ParseDepth(std::string_view text) {
  if (text.empty()) NoDepth(text, "it is empty");
  const size_t dash = text.find('-');
  if (dash == 0) NoDepth(text, "the encoder is missing");
  if (dash == std::string_view::npos) return {.encoder = 0, .decoder = ParseLayers(text, text, "stack")};
  return {.encoder = ParseLayers(text, text.substr(0, dash), "encoder"),
          .decoder = ParseLayers(text, text.substr(dash + 1), "decoder")};
}

Precision ParsePrecision(std::string_view text) {
  if (text == "fp32") return Precision::kFloat32;
  if (text == "bf16") return Precision::kBfloat16;
  throw std::invalid_argument("precision is \"" + std::string(text) + "\". Choose one of: fp32, bf16.");
}

std::vector<int64_t> ParseCutoffs(std::string_view text) {
  std::vector<int64_t> cutoffs;
  const auto refuse = [&](const std::string& why) {
    Refuse("adaptive_cutoffs", "\"" + std::string(text) + "\"", why + ". Write ascending numbers as 20000,60000");
  };
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    int64_t value = 0;
    const auto [last, error] = std::from_chars(text.data() + begin, text.data() + end, value);
    if (error != std::errc() || last != text.data() + end || value < 1) refuse("there is something that is no number of pieces");
    if (!cutoffs.empty() && value <= cutoffs.back()) refuse("cut-offs ascend");
    cutoffs.push_back(value);
    begin = end + 1;
    if (end + 1 == text.size()) refuse("it ends with a comma");
  }
  return cutoffs;
}

void Validate(const ModelConfig& config) {
  const auto text = [](int64_t value) { return std::to_string(value); };
  if (config.encoder_layers < 0) Refuse("encoder_layers", text(config.encoder_layers), "it cannot be negative");
  if (config.decoder_layers < 1) Refuse("decoder_layers", text(config.decoder_layers), "at least one layer is needed");
  if (config.heads < 1) Refuse("heads", text(config.heads), "at least one head is needed");
  if (config.dim < 2 || config.dim % 2 != 0) {
    Refuse("dim", text(config.dim), "positions take sines and cosines by halves, choose an even width of at least 2");
  }
  if (config.dim % config.heads != 0) {
    Refuse("dim", text(config.dim), "it must be a multiple of model.heads, which is " + text(config.heads));
  }
  if (config.ffn_dim < 1) Refuse("ffn_dim", text(config.ffn_dim), "it must be positive");
  if (config.vocabulary < 5) {
    Refuse("vocabulary", text(config.vocabulary), "it holds four special pieces and needs at least one more");
  }
  if (config.share_embeddings != "all" && config.share_embeddings != "decoder" && config.share_embeddings != "none") {
    Refuse("share_embeddings", "\"" + config.share_embeddings + "\"", "choose all, decoder or none");
  }
  CheckRate("dropout", config.dropout);
  CheckRate("attention_dropout", config.attention_dropout);
  CheckRate("activation_dropout", config.activation_dropout);
  CheckRate("label_smoothing", config.label_smoothing);
  CheckRate("word_dropout", config.word_dropout);
  CheckRate("adaptive_softmax_dropout", config.adaptive_softmax_dropout);
}

}  // namespace strata::model
