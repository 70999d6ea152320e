// How a layer combines its sub-layers, residual connections and normalisations. One file in this folder is one scheme:
// its equation, its source, its registration. Layers call the hooks below and never ask for a name.
//
// Shapes: x_ND is packed, rows are tokens (model/layers/packing.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/layers/add_norm.h"
#include "model/layers/parameters.h"
#include "model/layers/pass.h"

namespace strata::model {

using at::Tensor;

enum class SublayerKind { kSelfAttention, kCrossAttention, kFeedForward };
const char* NameOf(SublayerKind kind);  // "self_attention", "cross_attention", "ffn"

// Which sub-layer of which layer, in the pass under way.
struct Place {
  int64_t layer = 0;     // from 0
  int64_t sublayer = 0;  // from 0, within the layer
  SublayerKind kind = SublayerKind::kSelfAttention;
  bool last = false;  // of the layer
  Pass* pass = nullptr;
};

// One of the model's stacks, and the model around it.
struct StackShape {
  std::string name;  // "encoder" or "decoder"
  int64_t layers = 0;
  std::vector<SublayerKind> sublayers;
  int64_t dim = 0, ffn_dim = 0;
  int64_t encoder_layers = 0, decoder_layers = 0;  // N and M; N is 0 in a decoder-only model
  const ModelConfig* config = nullptr;
};

using SublayerFn = std::function<Branch(const Tensor& x_ND)>;
// history[0]: what enters the stack; history[k]: the output of layer k - 1. Only as long as KeepsHistory() asks: all,
// or the newest alone.
using History = std::vector<Tensor>;

// One object a stack. Not thread-safe.
class ResidualScheme {
 public:
  explicit ResidualScheme(StackShape shape) : shape_(std::move(shape)) {}
  virtual ~ResidualScheme() = default;

  // Adds the scheme's own parameters. The default gives each sub-layer a norm under fairseq's names.
  virtual void Build(ParameterStore& parameters);
  // Changes how the model's parts start; `part` of any stack's layers, embeddings too. Called before Draw.
  virtual void Init(ParameterPart& part) const {}

  // What layer `layer` gets.
  virtual Tensor LayerInput(int64_t layer, const History& history, Pass& pass) { return history.back(); }
  // x after one sub-layer; `input` is the layer's input.
  virtual Tensor Sublayer(const Place& at, const Tensor& x_ND, const SublayerFn& f, const Tensor& input_ND) = 0;
  // What leaves the stack.
  virtual Tensor StackOutput(const History& history, Pass& pass) { return history.back(); }
  virtual bool KeepsHistory() const { return false; }

  // Schemes that measure one batch before training: between the calls, Sublayer fills in what the scheme needs.
  virtual bool NeedsProfile() const { return false; }
  virtual void BeginProfile() {}
  virtual void EndProfile() {}

 protected:
  const StackShape& shape() const { return shape_; }
  // The value of one of the scheme's own options, as text or as a number; `automatic` where it is "auto".
  std::string Option(const std::string& name) const;
  double Option(const std::string& name, double automatic) const;
  const LayerNorm& Norm(const Place& at) const { return norms_[at.layer][at.sublayer]; }

  // norm(the residual sum) [+ after] with this place's norm, tapped where the pass asks for it.
  Tensor AddNormAt(const Place& at, const Tensor& x_ND, const Branch& branch, const ResidualTerms& terms = {},
                   const Tensor& after_ND = {}) const;
  // x + f(norm(x)) with this place's norm, tapped where the pass asks for it.
  Tensor NormAddAt(const Place& at, const Tensor& x_ND, const SublayerFn& f) const;
  // Keeps `x` under `name` ("before_norm", "after_norm") where the pass asks for this layer's places.
  void Tap(const Place& at, const char* name, const Tensor& x_ND) const;
  // fairseq's name of a place's norm: "encoder.layers.0.self_attn_layer_norm".
  std::string NormName(int64_t layer, SublayerKind kind) const;

 private:
  StackShape shape_;
  std::vector<std::vector<LayerNorm>> norms_;  // [layer][sub-layer]
};

// An option of a scheme's own, set by model.scheme_options.
struct SchemeOption {
  std::string name;
  std::string summary;               // one line
  std::string default_value;         // "auto" where the scheme computes it
  std::vector<std::string> choices;  // empty: a number, from min to max
  double min = 0, max = 0;
};

// What a scheme says of itself.
struct SchemeInfo {
  std::string summary;                    // one line
  std::string source;                     // where its equation stands
  std::vector<std::string> tasks;         // empty: every task
  std::vector<SchemeOption> options;      // of its own
  std::string schedule = "inverse_sqrt";  // what `train.schedule: scheme` means (worker/trainer/spec.h)
};

using SchemeFactory = std::function<std::unique_ptr<ResidualScheme>(StackShape)>;

// Called by REGISTER_SCHEME before main.
bool RegisterScheme(const std::string& name, SchemeInfo info, SchemeFactory factory);

// In the order of names.
std::vector<std::string> SchemeNames();
// Throw std::invalid_argument naming the field, the value and the known names.
const SchemeInfo& DescribeScheme(const std::string& name);
std::unique_ptr<ResidualScheme> MakeScheme(const std::string& name, StackShape shape);
// The values of a scheme's options, defaults filled in: "alpha=0.5" -> {alpha: 0.5, beta: auto}. Throws
// std::invalid_argument naming the option, the value and what it may be.
std::map<std::string, std::string> SchemeOptions(const std::string& scheme, const std::string& text);
// Throws std::invalid_argument naming both where the scheme does not take the task.
void CheckSchemeTakes(const std::string& scheme, const std::string& task);

#define REGISTER_SCHEME(name, Class, ...)                                                         \
  [[maybe_unused]] static const bool registered_scheme_##Class = ::strata::model::RegisterScheme( \
      name, ::strata::model::SchemeInfo __VA_ARGS__,                                              \
      [](::strata::model::StackShape shape) { return std::make_unique<Class>(std::move(shape)); })

}  // namespace strata::model
