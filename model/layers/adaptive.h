// Adaptive input and adaptive softmax with tied weights and projections (Baevski & Auli, 2019): the vocabulary falls
// into bands by frequency, and band i is D / factor^i wide.
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "model/layers/embedding.h"
#include "model/layers/parameters.h"

namespace strata::model {

// Input: x = E_i[token] P_i^T. Output: the head holds the first band's pieces (x E_0^T) and one class for each further
// band (x C^T); a further band's pieces have log p = log p(band) + log softmax(dropout(x P_i) E_i^T). Not thread-safe.
class AdaptiveVocabulary {
 public:
  // Adds the parameters under fairseq's names. Throws std::invalid_argument naming model.adaptive_cutoffs or
  // model.adaptive_factor where no bands can be made of them.
  AdaptiveVocabulary(const ModelConfig& config, ParameterStore& store);

  // dropout(sqrt(D) E[token] + position) [N, D]; kept_N as KeptWords gives it.
  at::Tensor Embed(const Packing& packing, Positions& positions, const DropoutSite& dropout,
                   const at::Tensor& kept_N) const;

  // Rows whose target is kPad are left out. A further band is computed for the rows alone whose target stands in it.
  LossSums Loss(const at::Tensor& x_ND, const at::Tensor& targets_N, Pass& pass) const;

  // log p of every piece [N, V], without dropout.
  at::Tensor LogProbabilities(const at::Tensor& x_ND) const;

 private:
  struct Band {
    int64_t begin = 0, rows = 0;  // its pieces
    at::Tensor table_RW, projection_DW;
  };
  void AddBand(const ModelConfig& config, ParameterStore& store, int64_t begin, int64_t end, int64_t width);

  int64_t dim_, vocabulary_;
  double dropout_;
  Precision precision_;
  std::vector<Band> bands_;
  at::Tensor classes_KD_;  // of the further bands
};

}  // namespace strata::model
