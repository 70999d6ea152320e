// Dropout on a device: the same elements are kept as by the processors' kernels.
#pragma once

#include <ATen/core/Tensor.h>

#include "model/layers/kernels.h"

namespace strata::model {

// in x (1 / (1 - rate) where kept, else 0), for float32 or float64 of any shape. Element j of row r (rows run along the
// last dimension) has the site's number row_begins[r] + j: int64, as many as rows, on the same device. Undefined: rows
// follow one another.
at::Tensor DropoutOnDevice(const at::Tensor& in, const DropoutSite& site, const at::Tensor& row_begins = {});

}  // namespace strata::model
