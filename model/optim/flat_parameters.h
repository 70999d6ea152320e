// All parameters of a model in one contiguous buffer, and all gradients in another.
//
// The model's tensors become views into the buffers, so that zeroing, the norm and the optimiser's update are single
// passes over memory. Backward passes add into the views in place. Parts start at multiples of 64 bytes (the gaps stay
// 0).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/tasks/task.h"

namespace strata::model {

// Owns the buffers; shares the tensors with the model, which must not reallocate them afterwards. Not thread-safe.
class FlatParameters {
 public:
  // Float leaves on one device. Copies their values into the buffer and gives each a zero gradient.
  // Throws std::invalid_argument for none, for a type other than float, or for parameters on several devices.
  explicit FlatParameters(std::vector<NamedParameter> parameters);

  const std::vector<NamedParameter>& parameters() const { return parameters_; }
  int64_t elements() const { return elements_; }  // without the gaps

  at::Tensor& weights() { return weights_; }      // [N] float, N >= elements()
  at::Tensor& gradients() { return gradients_; }  // [N] float

  void ZeroGradients();

  // L2 norm of all gradients times `scale`; NaN or infinite where they are. Sums in double, in a fixed order: the same
  // bits for the same gradients.
  double GradientNorm(double scale = 1) const;
  // The same over the parameters whose names start with `prefix` ("decoder.layers.3.").
  double GradientNorm(std::string_view prefix, double scale) const;

  // The part of a flat buffer that belongs to parameter `index`, in its shape.
  at::Tensor View(const at::Tensor& flat, size_t index) const;

 private:
  std::vector<NamedParameter> parameters_;
  std::vector<int64_t> offsets_;
  int64_t elements_ = 0;
  at::Tensor weights_;
  at::Tensor gradients_;
};

}  // namespace strata::model
