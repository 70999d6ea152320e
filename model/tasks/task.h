// A model as trainers see it: parameters, a loss over a batch, decoding. Made by CreateModel from the task registry.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/layers/layer_taps.h"

namespace strata::model {

// Ids of the special pieces, the same in every vocabulary.
inline constexpr int64_t kBos = 0, kPad = 1, kEos = 2, kUnk = 3;

// One batch, on the CPU: a model copies what its device needs. B sentences, S source and T target positions; int64 ids, padding kPad on either side.
// target_input starts with kEos: target_input[t] = target[t - 1]. A decoder-only task has no source; a target that is kPad where
// its input is not is context only and counts nothing.
struct Batch {
  at::Tensor source_BS;                    // text; undefined for speech
  at::Tensor source_features_BSF;          // speech: float32, F filter banks, zeros behind each clip's end
  std::vector<int64_t> source_frames;      // speech: frames of each clip
  at::Tensor target_input_BT;
  at::Tensor target_BT;
  int64_t target_tokens = 0;  // targets that are no padding, eos included
  int64_t sentences = 0;
};

// Sums over the batch's target tokens (padding left out), natural logarithm, 0-dim float64 on the model's device.
// `loss` is label-smoothed and differentiable, `nll` is plain and is not.
struct LossSums {
  at::Tensor loss;
  at::Tensor nll;
};

// Beam search as fairseq does it (SCHEMES: 2 x beam candidates, eos only among the best `beam`).
struct DecodeOptions {
  int64_t beam = 4;             // 1: greedy
  double length_penalty = 1.0;  // score = sum log p / (length with eos)^length_penalty
  double max_length_a = 0;      // at most a x source length + b tokens before the eos that is forced
  int64_t max_length_b = 200;
  int64_t min_length = 1;       // tokens before an eos may come
  int64_t n_best = 1;
};

struct Hypothesis {
  std::vector<int64_t> tokens;          // without the leading eos, with the final one
  double score = 0;                     // normalised by length
  std::vector<double> positional_scores;  // log p of each token
};

// hypotheses[sentence][rank], best first.
using Hypotheses = std::vector<std::vector<Hypothesis>>;

struct NamedParameter {
  std::string name;
  at::Tensor tensor;
};

// A part of a parameter under the name that fairseq gives it (the q, k and v of a joint projection apart).
struct NamedView {
  std::string name;       // fairseq's name
  std::string parameter;  // the parameter that holds it
  int64_t begin = 0;      // first row of the parameter
  int64_t rows = 0;
};

// Not thread-safe: one thread at a time. Initialised from torch's default CPU generator: the same seed before CreateModel
// gives the same bits, and a tensor's values depend on the seed and on its own name only. Dropout draws one number from
// that generator a training pass.
class SequenceModel {
 public:
  virtual ~SequenceModel() = default;

  virtual const ModelConfig& config() const = 0;

  // Every tensor once, in a stable order, with dotted names; leaves that require gradients.
  virtual std::vector<NamedParameter> Parameters() const = 0;
  // Other name -> name in Parameters(), for tensors that are shared.
  virtual std::vector<std::pair<std::string, std::string>> Aliases() const = 0;
  // Parts of the parameters by fairseq's names; every element of every parameter stands in exactly one.
  virtual std::vector<NamedView> FairseqViews() const = 0;
  // How each part of each parameter was drawn, in the order of FairseqViews: "uniform(0.0442)", "normal(0.0442) zero row 1",
  // "constant(1)". Two models of one seed have the same bits in every part of the same name, shape and text.
  virtual std::vector<std::string> Initials() const = 0;

  // `training` switches dropout on. Under at::NoGradGuard nothing is kept for a backward pass.
  virtual LossSums Loss(const Batch& batch, bool training, LayerTaps* taps = nullptr) = 0;
  // [B, T, V] before softmax, dropout off. Rows at padded positions mean nothing.
  virtual at::Tensor Logits(const Batch& batch, LayerTaps* taps = nullptr) = 0;
  // Decodes the batch's sources; its targets may be undefined. Dropout off, no gradients. Throws std::logic_error in a
  // decoder-only task, which has nothing to decode from.
  virtual Hypotheses Decode(const Batch& batch, const DecodeOptions& options) = 0;

  // Some schemes measure one batch before the first update (Admin). Does nothing where NeedsProfile() is false.
  virtual bool NeedsProfile() const { return false; }
  virtual void Profile(const Batch& batch) {}
};

// Moves the parameters, which nobody may have gradients of yet, to `device`, where the model then computes. Weights are drawn
// on the CPU, so they are the same on every device.
void MoveTo(SequenceModel& model, const at::Device& device);

// Drawn: the weights are initialised. ShapesOnly: they are not, and cost no memory until they are touched.
enum class Construction { kDrawn, kShapesOnly };

// Throws std::invalid_argument where the task or scheme is unknown or they do not go together, or the sizes do not.
std::unique_ptr<SequenceModel> CreateModel(const ModelConfig& config, Construction construction = Construction::kDrawn);

}  // namespace strata::model
