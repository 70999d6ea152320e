// How alike the outputs of a stack's layers are (the paper's Fig. 5).
#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

namespace strata::model {

// Cosine between the outputs of every two layers at the same position, averaged over positions: L x L, row by row.
// outputs_ND: one a layer, all of one shape. Cost: L^2 N D multiplications in one matrix product a piece of positions;
// at most 32 MiB beside the outputs.
std::vector<double> Similarity(const std::vector<at::Tensor>& outputs_ND);

// The last row of it: every layer with the last. L N D multiplications.
std::vector<double> SimilarityToLast(const std::vector<at::Tensor>& outputs_ND);

}  // namespace strata::model
