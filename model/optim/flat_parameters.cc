#include "model/optim/flat_parameters.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace strata::model {
namespace {

constexpr int64_t kAlignment = 64 / sizeof(float);

// Sum of squares. Blocks of 1,024 are summed in 16 float lanes, the blocks in double.
double SumOfSquares(const float* values, int64_t count) {
  constexpr int64_t kLanes = 16, kBlock = 1024;
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t end = std::min(begin + kBlock, count), even = begin + (end - begin) / kLanes * kLanes;
    float lanes[kLanes] = {};
    for (int64_t i = begin; i < even; i += kLanes) {
#pragma GCC ivdep
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane] * values[i + lane];
    }
    for (int64_t i = even; i < end; ++i) lanes[i - even] += values[i] * values[i];
    double block = 0;
    for (const float lane : lanes) block += lane;
    total += block;
  }
  return total;
}

double SumOfSquares(const at::Tensor& flat) {
  if (flat.is_cpu()) return SumOfSquares(flat.const_data_ptr<float>(), flat.numel());
  const double norm = at::linalg_vector_norm(flat, 2, std::nullopt, false, at::kDouble).item<double>();
  return norm * norm;
}

}  // namespace

FlatParameters::FlatParameters(std::vector<NamedParameter> parameters) : parameters_(std::move(parameters)) {
  if (parameters_.empty()) throw std::invalid_argument("A model without parameters cannot be trained.");
  int64_t total = 0;
  for (const NamedParameter& parameter : parameters_) {
    const at::Tensor& tensor = parameter.tensor;
    if (tensor.scalar_type() != at::kFloat || tensor.device() != parameters_[0].tensor.device()) {
      throw std::invalid_argument("Parameter " + parameter.name +
                                  " is not float, or on another device than the first.");
    }
    offsets_.push_back(total);
    elements_ += tensor.numel();
    total += (tensor.numel() + kAlignment - 1) / kAlignment * kAlignment;
  }
  at::NoGradGuard no_grad;
  weights_ = at::zeros({total}, parameters_[0].tensor.options().requires_grad(false));
  gradients_ = at::zeros_like(weights_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& tensor = parameters_[i].tensor;
    at::Tensor view = View(weights_, i);
    view.copy_(tensor);
    tensor.set_data(view);
    tensor.mutable_grad() = View(gradients_, i);
  }
}

at::Tensor FlatParameters::View(const at::Tensor& flat, size_t index) const {
  const at::Tensor& tensor = parameters_[index].tensor;
  return flat.narrow(0, offsets_[index], tensor.numel()).view(tensor.sizes());
}

void FlatParameters::ZeroGradients() {
  at::NoGradGuard no_grad;
  gradients_.zero_();
}

double FlatParameters::GradientNorm(double scale) const { return std::sqrt(SumOfSquares(gradients_)) * scale; }

double FlatParameters::GradientNorm(std::string_view prefix, double scale) const {
  double sum = 0;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!parameters_[i].name.starts_with(prefix)) continue;
    sum += SumOfSquares(gradients_.narrow(0, offsets_[i], parameters_[i].tensor.numel()));
  }
  return std::sqrt(sum) * scale;
}

}  // namespace strata::model
