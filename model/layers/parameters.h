// The tensors of a model under construction: names, parts, and how each part starts.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "model/tasks/task.h"

namespace strata::model {

// How a part starts. Amount: half-width of a uniform, standard deviation of a normal, or the constant. Averages: in a
// part of shape [R, C, ...], 1 / (k + 1) in the first k + 1 columns of row k, zero elsewhere.
struct Initial {
  enum class Kind { kConstant, kUniform, kNormal, kAverages };
  Kind kind = Kind::kConstant;
  double amount = 0;

  static Initial Constant(double value) { return {Kind::kConstant, value}; }
  static Initial Uniform(double half_width) { return {Kind::kUniform, half_width}; }
  static Initial Normal(double deviation) { return {Kind::kNormal, deviation}; }
  static Initial Averages() { return {Kind::kAverages, 1}; }
  static Initial XavierUniform(int64_t fan_in, int64_t fan_out, double gain = 1);
  static Initial XavierNormal(int64_t fan_in, int64_t fan_out, double gain = 1);
};

// "uniform(0.0442)", "normal(0.0442) zero row 1", "constant(1)", "averages(1)".
std::string Text(const Initial& initial, int64_t zero_row);

// What a part does in its layer; initialisers of schemes go by it.
enum class Role { kEmbedding, kOutput, kQuery, kKey, kValue, kOutProjection, kFc1, kFc2, kNorm, kScheme, kConvolution };

// Rows [begin, begin + rows) of a parameter, under fairseq's name.
struct ParameterPart {
  std::string name;  // fairseq's
  Role role = Role::kScheme;
  bool is_bias = false;
  std::string stack;   // "encoder", "decoder" or empty
  int64_t layer = -1;  // -1: belongs to no layer
  int64_t begin = 0, rows = 0;
  int64_t fan_in = 0, fan_out = 0;  // of a weight
  Initial initial;
  int64_t zero_row = -1;  // row of the part that starts at zero (an embedding's padding)

  bool cross_attention = false;
};

// Owns the tensors until the model is destroyed. Not thread-safe.
class ParameterStore {
 public:
  explicit ParameterStore(Construction construction = Construction::kDrawn) : construction_(construction) {}

  struct Parameter {
    std::string name;
    at::Tensor tensor;
    std::vector<ParameterPart> parts;  // in order, covering all rows
  };

  // A new float32 leaf that requires gradients; its values are drawn by Draw. Parts need no rows where there is only
  // one.
  at::Tensor Add(const std::string& name, at::IntArrayRef shape, std::vector<ParameterPart> parts);
  void AddAlias(const std::string& name, const std::string& target) { aliases_.emplace_back(name, target); }

  // Fills every part from a generator of its own, seeded by `seed` and the part's name: one scheme's extra tensors do
  // not change what the others get, nor does the number of threads.
  void Draw(uint64_t seed);

  std::vector<Parameter>& parameters() { return parameters_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  const std::vector<std::pair<std::string, std::string>>& aliases() const { return aliases_; }

  // Every part, for initialisers.
  template <typename Visit>
  void ForEachPart(Visit visit) {
    for (Parameter& parameter : parameters_) {
      for (ParameterPart& part : parameter.parts) visit(part);
    }
  }

 private:
  Construction construction_;
  std::vector<Parameter> parameters_;
  std::unordered_set<std::string> names_;
  std::vector<std::pair<std::string, std::string>> aliases_;
};

}  // namespace strata::model
