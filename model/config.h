// What a model is: plain values, no LibTorch. Read first: model/tasks/task.h (what is made of it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace strata::model {

// Layers of the stacks. One stack (a decoder only): encoder == 0.
struct Depth {
  int64_t encoder = 0;
  int64_t decoder = 0;
};

// Reads "18L-18L" or "16L". Throws std::invalid_argument, a sentence to a person, for anything else.
Depth ParseDepth(std::string_view text);

struct ModelConfig {
  std::string task = "translation";  // from the task registry
  std::string scheme = "post_ln";    // from the scheme registry
  int64_t encoder_layers = 6;
  int64_t decoder_layers = 6;
  int64_t dim = 512;  // a multiple of heads, and even
  int64_t ffn_dim = 2048;
  int64_t heads = 8;
  int64_t vocabulary = 0;               // pieces, special ones included
  std::string share_embeddings = "all";  // all | decoder | none
  double dropout = 0.1;
  double attention_dropout = 0;
  double activation_dropout = 0;
  double label_smoothing = 0.1;
  bool rescale_init = false;  // every weight of a layer times L^-0.5, L the layers of its stack
};

// Throws std::invalid_argument naming field, value and remedy where no model can be built of `config`.
// Registered names are checked by CreateModel.
void Validate(const ModelConfig& config);

}  // namespace strata::model
