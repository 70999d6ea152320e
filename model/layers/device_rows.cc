#include "model/layers/device_rows.h"

#include <ATen/ATen.h>
#include <ATen/TensorIndexing.h>

#include <array>
#include <tuple>

#include "model/layers/device_dropout.h"

namespace strata::model {
namespace {

at::Tensor Scaled(const at::Tensor& tensor, double scale) { return scale == 1 ? tensor : tensor * scale; }

at::Tensor Dropped(const at::Tensor& tensor, const DropoutSite& site) {
  return site.rate > 0 ? DropoutOnDevice(tensor, site) : tensor;
}

}  // namespace

Sums AddNormOnDevice(const SumCall& call) {
  const ResidualTerms& terms = call.terms;
  const bool norms = call.gamma.defined();
  at::Tensor sum = Scaled(call.x, terms.x);
  if (terms.x_weights_D.defined()) sum = sum * terms.x_weights_D;
  if (call.branch.defined()) sum = at::add(sum, Dropped(call.branch, call.site), terms.branch);
  if (terms.bypass_ND.defined()) sum = at::add(sum, terms.bypass_ND, terms.bypass);
  Sums out;
  if (!norms) {
    out.sum = sum.is_same(call.x) ? sum.clone() : sum;
    return out;
  }
  at::Tensor mean, inverse;
  std::tie(out.y, mean, inverse) =
      at::native_layer_norm(sum, {sum.size(1)}, call.gamma, call.beta, kNormEpsilon);
  if (call.after.defined()) out.y.add_(call.after);
  if (call.keep) {
    out.sum = sum;
    out.statistics = at::cat({mean.view({-1, 1}), inverse.view({-1, 1})}, 1);
  }
  return out;
}

SumGradients AddNormBackwardOnDevice(const SavedSum& saved, const at::Tensor& d_y) {
  const ResidualTerms& terms = saved.terms;
  SumGradients out;
  at::Tensor d_sum = d_y;
  if (saved.gamma.defined()) {
    const at::Tensor mean = saved.statistics.narrow(1, 0, 1).contiguous(),
                     inverse = saved.statistics.narrow(1, 1, 1).contiguous();
    // Of beta only the shape is looked at.
    std::tie(d_sum, out.gamma, out.beta) =
        at::native_layer_norm_backward(d_y, saved.sum, {d_y.size(1)}, mean, inverse, saved.gamma, saved.gamma,
                                       std::array<bool, 3>{true, true, true});
  }
  const bool drops = saved.has_branch && saved.site.rate > 0;
  out.x = Scaled(d_sum, terms.x);
  if (saved.has_branch) out.branch = Scaled(drops ? DropoutOnDevice(d_sum, saved.site) : d_sum, terms.branch);
  if (saved.has_bypass) out.bypass = Scaled(d_sum, terms.bypass);
  if (terms.x_weights_D.defined()) {
    out.x_weights = (out.x * saved.x).sum(0);
    out.x = out.x * terms.x_weights_D;
  }
  return out;
}

at::Tensor CombineOnDevice(const at::Tensor& weights, const std::vector<at::Tensor>& inputs) {
  at::Tensor out = inputs[0] * weights[0];
  for (size_t i = 1; i < inputs.size(); ++i) out.addcmul_(inputs[i], weights[static_cast<int64_t>(i)]);
  return out;
}

std::vector<at::Tensor> CombineBackwardOnDevice(const at::Tensor& weights, const std::vector<at::Tensor>& inputs,
                                                const at::Tensor& d_out, at::Tensor weights_grad) {
  std::vector<at::Tensor> d_inputs;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    d_inputs.push_back(d_out * weights[place]);
    weights_grad[place].add_((d_out * inputs[i]).sum(at::kDouble));
  }
  return d_inputs;
}

at::Tensor BiasReluOnDevice(at::Tensor h, const at::Tensor& bias, const DropoutSite& site) {
  h.add_(bias).relu_();
  return Dropped(h, site);
}

at::Tensor ReluBackwardOnDevice(const at::Tensor& d_h, const at::Tensor& h, double scale) {
  return Scaled(at::threshold_backward(d_h, h, 0), scale);
}

at::Tensor SumByRowOnDevice(const at::Tensor& rows, const at::Tensor& ids, int64_t count) {
  // With `accumulate` LibTorch sorts the ids on a GPU, so that each sum has an order of its own; index_add_ has not.
  return at::zeros({count, rows.size(1)}, rows.options()).index_put_({ids}, rows, /*accumulate=*/true);
}

LossRows CrossEntropyOnDevice(const at::Tensor& logits, const at::Tensor& targets, double right, double uniform,
                              bool gradient) {
  at::Tensor log_p = at::log_softmax(logits, 1);
  const at::Tensor places = targets.unsqueeze(1), nlls = log_p.gather(1, places).squeeze(1).to(at::kDouble).neg_();
  LossRows out{.losses = nlls * right, .nlls = nlls};
  if (uniform != 0) out.losses.sub_(log_p.sum({1}, /*keepdim=*/false, at::kDouble), uniform);
  if (!gradient) return out;
  out.d_logits = log_p.exp_();
  if (uniform != 0) out.d_logits.sub_(uniform);
  out.d_logits.scatter_add_(1, places, at::full({}, -right, logits.options()).expand_as(places));  // one place a row
  return out;
}

}  // namespace strata::model
