// What every model here is: parameters in a store, stacks under a residual scheme, all drawn once. Tasks derive from it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/layers/packing.h"
#include "model/layers/parameters.h"
#include "model/layers/stack.h"
#include "model/tasks/task.h"

namespace strata::model {

class TransformerModel : public SequenceModel {
 public:
  const ModelConfig& config() const override { return config_; }
  std::vector<NamedParameter> Parameters() const override;
  std::vector<std::pair<std::string, std::string>> Aliases() const override { return store_.aliases(); }
  std::vector<NamedView> FairseqViews() const override;
  std::vector<std::string> Initials() const override;
  bool NeedsProfile() const override;
  void Profile(const Batch& batch) override;

 protected:
  TransformerModel(const ModelConfig& config, Construction construction)
      : config_(config), store_(construction), construction_(construction) {}

  ParameterStore& store() { return store_; }
  // The last call of a constructor: lets the schemes of `stacks` and the options of the spec change how parts start, and draws
  // all of them from torch's default CPU generator.
  void Initialise(std::vector<Stack*> stacks);
  // The pass of a profile: everything up to the last layer, in training mode, padding included.
  virtual void ProfilePass(const Batch& batch, Pass& pass) = 0;

 private:
  ModelConfig config_;
  ParameterStore store_;
  Construction construction_;
  std::vector<Stack*> stacks_;
};

// The targets of a packed target input. Throws std::invalid_argument where the shapes differ, or a target stands where the
// input is padding.
at::Tensor PackTargets(const at::Tensor& target_BT, const Packing& input);

}  // namespace strata::model
