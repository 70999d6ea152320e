// A stack of layers under a residual scheme: an encoder, or a decoder with or without cross-attention.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/layers/attention.h"
#include "model/layers/feed_forward.h"
#include "model/residual/residual_scheme.h"

namespace strata::model {

class Stack {
 public:
  // `name` is "encoder" or "decoder"; `cross` gives its layers a cross-attention.
  Stack(const ModelConfig& config, const std::string& name, int64_t layers, bool cross, ParameterStore& parameters);

  struct Layer {
    Attention self_attention;
    std::unique_ptr<Attention> cross_attention;  // null without
    FeedForward feed_forward;
  };
  const std::string& name() const { return name_; }
  const std::vector<Layer>& layers() const { return layers_; }
  ResidualScheme& scheme() { return *scheme_; }

  // x through all layers. `memory` and `cross_plan` only where the stack has cross-attention.
  at::Tensor Forward(const at::Tensor& x_ND, std::shared_ptr<const AttentionPlan> self_plan, const at::Tensor& memory_MD,
                     std::shared_ptr<const AttentionPlan> cross_plan, Pass& pass);

  // The same with other sub-layers than a whole batch's: f(layer, kind, x) (incremental decoding).
  using Runner = std::function<Branch(int64_t layer, SublayerKind kind, const at::Tensor& x_ND)>;
  at::Tensor Run(const at::Tensor& x_ND, const Runner& run, Pass& pass);

 private:
  std::string name_;
  const ModelConfig& config_;
  std::vector<SublayerKind> kinds_;
  std::vector<Layer> layers_;
  std::unique_ptr<ResidualScheme> scheme_;
};

}  // namespace strata::model
