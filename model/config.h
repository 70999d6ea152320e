// What a model is: plain values, no LibTorch. Read first: model/tasks/task.h (what is made of it).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata::model {

// Layers of the stacks. One stack (a decoder only): encoder == 0.
struct Depth {
  int64_t encoder = 0;
  int64_t decoder = 0;
};

// Reads "18L-18L" or "16L". Throws std::invalid_argument, a sentence to a person, for anything else.
Depth ParseDepth(std::string_view text);

// What matrix products round their factors to; sums, and all else, are float32.
enum class Precision { kFloat32, kBfloat16 };

// Reads "fp32" or "bf16". Throws std::invalid_argument, a sentence to a person, for anything else.
Precision ParsePrecision(std::string_view text);

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
  bool smooth_over_others = false;  // label smoothing spreads over the V - 1 other pieces (fairseq 0.12), not over all V
  bool rescale_init = false;        // every weight of a layer times L^-0.5, L the layers of its stack
  bool depth_scaled_init = false;   // every weight of layer l xavier uniform times l^-0.5, l from 1
  std::string scheme_options;       // the scheme's own: NAME=VALUE, comma-separated
  double word_dropout = 0;          // share of tokens whose embedding is zeroed in training
  std::vector<int64_t> adaptive_cutoffs;  // language model: first id of each further band
  int64_t adaptive_factor = 4;            // language model: each band's width is the one's before divided by this
  double adaptive_softmax_dropout = 0;    // language model: in the further bands of the softmax
  Precision precision = Precision::kFloat32;  // of training, of the loss and of decoding
  int64_t convolution_channels = 1024;    // speech: of the first convolution, before its GLU
  int64_t feature_bins = 80;              // speech: filter banks of a frame
  // SpecAugment (speech, training only): masks a clip, each at most so wide.
  int64_t frequency_masks = 0, frequency_mask_bins = 27, time_masks = 0, time_mask_frames = 100;
};

// Reads "20000,60000"; empty: none. Throws std::invalid_argument where they are no numbers or do not ascend.
std::vector<int64_t> ParseCutoffs(std::string_view text);

// Throws std::invalid_argument naming field, value and remedy where no model can be built of `config`.
// Registered names are checked by CreateModel.
void Validate(const ModelConfig& config);

}  // namespace strata::model
