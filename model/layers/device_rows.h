// The loops of kernels.h that go row by row, for tensors on a device: sums and normalisation, dropout, ReLU, loss, written
// with LibTorch's operations. Nothing here waits for the device, and each gives the same bits whenever it is repeated: no
// operation is used that adds into one place in any order.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "model/layers/kernels.h"
#include "model/layers/residual_sums.h"

namespace strata::model {

Sums AddNormOnDevice(const SumCall& call);
SumGradients AddNormBackwardOnDevice(const SavedSum& saved, const at::Tensor& d_y);

// The sum over i of weights[i] x inputs[i]; weights [C] with C >= the number of inputs.
at::Tensor CombineOnDevice(const at::Tensor& weights, const std::vector<at::Tensor>& inputs);
// d_inputs; adds d_weights to `weights_grad` [C].
std::vector<at::Tensor> CombineBackwardOnDevice(const at::Tensor& weights, const std::vector<at::Tensor>& inputs,
                                                const at::Tensor& d_out, at::Tensor weights_grad);

// dropout(relu(h + bias)), in h's memory where nothing is dropped.
at::Tensor BiasReluOnDevice(at::Tensor h, const at::Tensor& bias, const DropoutSite& site);
// d_h = h > 0 ? d_h x scale : 0.
at::Tensor ReluBackwardOnDevice(const at::Tensor& d_h, const at::Tensor& h, double scale);

// [rows, width] with row i of `rows` added to row ids[i] of zeros.
at::Tensor SumByRowOnDevice(const at::Tensor& rows, const at::Tensor& ids, int64_t count);

// What cross entropy of a batch's rows comes to.
struct LossRows {
  at::Tensor losses, nlls;  // [rows], float64
  at::Tensor d_logits;      // [rows, classes], undefined where it is not asked for
};
// As Kernels::cross_entropy.
LossRows CrossEntropyOnDevice(const at::Tensor& logits, const at::Tensor& targets, double right, double uniform,
                              bool gradient);

}  // namespace strata::model
