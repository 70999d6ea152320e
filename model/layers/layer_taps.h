// What a forward pass leaves behind for diagnostics: outputs of layers, and tensors at named places inside them.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace strata::model {

// Filled by SequenceModel::Loss or Logits. The tensors belong to the autograd graph of that pass: take their gradients by
// torch::autograd::grad, or retain_grad() them before backward(). Not thread-safe; one object a pass.
// They are packed: rows are the tokens that are no padding, sentence by sentence (Unpack in packing.h gives [B, T, D]).
struct LayerTaps {
  struct Stack {
    at::Tensor input_ND;                 // scaled embeddings with positions, after dropout
    std::vector<at::Tensor> outputs_ND;  // one a layer, from the first
    at::Tensor final_ND;                 // what leaves the stack (after a final LN, where there is one)
    // Inside the layers of `location_layers`: layer -> name -> tensor. Names: "<sub-layer>_before_norm",
    // "<sub-layer>_after_norm" with sub-layer self_attention, cross_attention or ffn.
    std::map<int64_t, std::map<std::string, at::Tensor>> locations;
    // Where `variances` is asked for: sub-layer -> population variance of its output over all elements, one a layer.
    std::map<std::string, std::vector<double>> variances;
  };
  std::map<std::string, Stack> stacks;  // "encoder", "decoder"

  // Layers (from 0) whose inner places are kept. Asking for any costs the fusion of sum and norm there.
  std::set<int64_t> location_layers;
  // Asks for the variances of sub-layers' outputs: one more reading of each.
  bool variances = false;
};

}  // namespace strata::model
