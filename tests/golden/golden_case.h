// One reference case: a .safetensors file with its .json, computed by a fairseq-family code (tests/golden/README.md).
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "model/data/safetensors.h"
#include "model/tasks/task.h"

namespace strata::golden {

// What is wrong with a case, as a sentence.
class CaseError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct Case {
  std::string name;
  nlohmann::json facts;  // the .json
  model::SafetensorsReader tensors;

  // Throws CaseError or std::runtime_error where either file is missing or unsound.
  static Case Open(const std::filesystem::path& safetensors);

  bool HasAny(const std::string& prefix) const;
  // Throws CaseError where the tensor is missing or of another type or, where one is given, shape.
  at::Tensor Get(const std::string& name, at::ScalarType type) const;
  at::Tensor Get(const std::string& name, at::ScalarType type, at::IntArrayRef shape) const;
  double Scalar(const std::string& name) const;
  std::vector<double> Series(const std::string& name) const;
  // prefix + {source, target input, target} of the task; ids are checked against the vocabulary.
  model::Batch GetBatch(const std::string& prefix, const model::ModelConfig& config) const;

 private:
  void GetSource(const std::string& prefix, const model::ModelConfig& config, model::Batch* batch) const;
};

// What kind of model a case holds.
struct Kind {
  model::ModelConfig config;
  std::string skipped_because;  // not empty: this build lacks the scheme or the task
};

// From the repository, the arguments and the shapes of the parameters; throws CaseError where they contradict each
// other, or hold what no model of ours has.
Kind ReadKind(const Case& reference);

}  // namespace strata::golden
