#include "model/diagnostics/similarity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace strata::model {
namespace {

// Floats of a piece in all, and of one layer: sums of more products than that lose digits in single precision.
constexpr int64_t kPieceFloats = 1 << 22, kLayerFloats = 1 << 16;

// Rows of length 1; a row of zeros stays.
at::Tensor Normalised(const at::Tensor& rows) {
  return rows / at::linalg_vector_norm(rows, 2, at::IntArrayRef{-1}, /*keepdim=*/true).clamp_min(1e-30);
}

std::vector<double> ToVector(const at::Tensor& values) {
  const at::Tensor plain = values.to(at::kCPU, at::kDouble).contiguous();
  return {plain.const_data_ptr<double>(), plain.const_data_ptr<double>() + plain.numel()};
}

}  // namespace

std::vector<double> Similarity(const std::vector<at::Tensor>& outputs_ND) {
  if (outputs_ND.empty()) return {};
  const at::NoGradGuard no_grad;
  const auto layers = static_cast<int64_t>(outputs_ND.size());
  const int64_t positions = outputs_ND[0].size(0), dim = outputs_ND[0].size(1);
  const int64_t piece = std::max<int64_t>(1, std::min(kPieceFloats / layers, kLayerFloats) / dim);
  at::Tensor sums_LL = at::zeros({layers, layers}, outputs_ND[0].options().dtype(at::kDouble));
  for (int64_t begin = 0; begin < positions; begin += piece) {
    const int64_t rows = std::min(piece, positions - begin);
    std::vector<at::Tensor> parts;
    for (const at::Tensor& output : outputs_ND) parts.push_back(output.detach().narrow(0, begin, rows));
    const at::Tensor flat = Normalised(at::stack(parts)).view({layers, rows * dim});
    sums_LL += at::mm(flat, flat.t()).to(at::kDouble);
  }
  return ToVector(sums_LL / static_cast<double>(positions));
}

std::vector<double> SimilarityToLast(const std::vector<at::Tensor>& outputs_ND) {
  const at::NoGradGuard no_grad;
  std::vector<double> similarities;
  if (outputs_ND.empty()) return similarities;
  const at::Tensor last = Normalised(outputs_ND.back().detach());
  for (const at::Tensor& output : outputs_ND)
    similarities.push_back((Normalised(output.detach()) * last).sum(-1).mean(at::kDouble).item<double>());
  return similarities;
}

}  // namespace strata::model
