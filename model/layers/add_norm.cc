#include "model/layers/add_norm.h"

#include "model/layers/autograd_types.h"

namespace strata::model {
namespace {

constexpr double kEpsilon = 1e-5;

bool Tracks(std::initializer_list<at::Tensor> tensors) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.requires_grad()) return true;
  }
  return false;
}

// Runs the kernel; `y` only where gamma is defined, `statistics` and `sum` only where wanted.
struct Sums {
  at::Tensor sum, y, statistics;
};
Sums RunAddNorm(const at::Tensor& x, const at::Tensor& branch, const at::Tensor& bypass, const at::Tensor& gamma,
                const at::Tensor& beta, const DropoutSite& site, bool keep) {
  const bool norms = gamma.defined();
  Sums out;
  if (keep || !norms) out.sum = at::empty_like(x);
  if (norms) out.y = at::empty_like(x);
  if (keep && norms) out.statistics = at::empty({x.size(0), 2}, x.options());
  ByType(x, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::AddNorm call{.rows = x.size(0),
                                            .width = x.size(1),
                                            .x = Data<T>(x),
                                            .branch = Data<T>(branch),
                                            .bypass = Data<T>(bypass),
                                            .gamma = Data<T>(gamma),
                                            .beta = Data<T>(beta),
                                            .sum = MutableData<T>(out.sum),
                                            .y = MutableData<T>(out.y),
                                            .statistics = MutableData<T>(out.statistics),
                                            .epsilon = kEpsilon,
                                            .dropout = site};
    at::parallel_for(0, x.size(0), kRowGrain,
                     [&](int64_t begin, int64_t end) { GetKernels<T>().add_norm(call, begin, end); });
  });
  return out;
}

at::Tensor RunDropout(const at::Tensor& in, const DropoutSite& site) {
  at::Tensor out = at::empty_like(in);
  ByType(in, [&](auto zero) {
    using T = decltype(zero);
    at::parallel_for(0, in.size(0), kRowGrain, [&](int64_t begin, int64_t end) {
      GetKernels<T>().dropout(Data<T>(in), MutableData<T>(out), in.size(1), site, begin, end);
    });
  });
  return out;
}

void SaveSite(AutogradContext* context, const DropoutSite& site) {
  context->saved_data["rate"] = site.rate;
  context->saved_data["seed"] = static_cast<int64_t>(site.seed);
}
DropoutSite LoadSite(AutogradContext* context) {
  return {.rate = context->saved_data["rate"].toDouble(),
          .seed = static_cast<uint64_t>(context->saved_data["seed"].toInt())};
}

class AddNormFunction : public torch::autograd::Function<AddNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const std::optional<at::Tensor>& branch,
                            const std::optional<at::Tensor>& bypass, const at::Tensor& gamma, const at::Tensor& beta,
                            DropoutSite site, bool keep) {
    Sums out = RunAddNorm(x, branch.value_or(at::Tensor()), bypass.value_or(at::Tensor()), gamma, beta, site, keep);
    if (keep) {
      context->save_for_backward({out.sum, out.statistics, gamma});
      SaveSite(context, site);
      context->saved_data["branch"] = branch.has_value();
      context->saved_data["bypass"] = bypass.has_value();
    }
    return out.y;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &sum = saved[0], &statistics = saved[1], &gamma = saved[2];
    const at::Tensor d_y = gradients[0].contiguous();
    const DropoutSite site = LoadSite(context);
    const bool has_branch = context->saved_data["branch"].toBool(), has_bypass = context->saved_data["bypass"].toBool();
    const at::Tensor d_sum = at::empty_like(sum);
    at::Tensor d_branch;
    if (has_branch) d_branch = site.rate > 0 ? at::empty_like(sum) : d_sum;
    const at::Tensor gamma_grad = at::zeros_like(gamma), beta_grad = at::zeros_like(gamma);
    ByType(sum, [&](auto zero) {
      using T = decltype(zero);
      const typename Kernels<T>::AddNormBackward call{.rows = sum.size(0),
                                                      .width = sum.size(1),
                                                      .d_y = Data<T>(d_y),
                                                      .sum = Data<T>(sum),
                                                      .statistics = Data<T>(statistics),
                                                      .gamma = Data<T>(gamma),
                                                      .d_sum = MutableData<T>(d_sum),
                                                      .d_branch = site.rate > 0 ? MutableData<T>(d_branch) : nullptr,
                                                      .gamma_grad = MutableData<T>(gamma_grad),
                                                      .beta_grad = MutableData<T>(beta_grad),
                                                      .dropout = site};
      GetKernels<T>().add_norm_backward(call, 0, sum.size(0));
    });
    return {d_sum, d_branch, has_bypass ? d_sum : at::Tensor(), gamma_grad, beta_grad, at::Tensor(), at::Tensor()};
  }
};

class AddFunction : public torch::autograd::Function<AddFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& branch, DropoutSite site) {
    SaveSite(context, site);
    return RunAddNorm(x, branch, {}, {}, {}, site, /*keep=*/false).sum;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const DropoutSite site = LoadSite(context);
    const at::Tensor d_sum = gradients[0].contiguous();
    return {d_sum, site.rate > 0 ? RunDropout(d_sum, site) : d_sum, at::Tensor()};
  }
};

class DropoutFunction : public torch::autograd::Function<DropoutFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, DropoutSite site) {
    SaveSite(context, site);
    return RunDropout(x, site);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {RunDropout(gradients[0].contiguous(), LoadSite(context)), at::Tensor()};
  }
};

}  // namespace

LayerNorm::LayerNorm(ParameterStore& parameters, const std::string& name, const std::string& stack, int64_t layer,
                     int64_t dim) {
  const ParameterPart part{.role = Role::kNorm, .stack = stack, .layer = layer};
  ParameterPart weight = part, bias = part;
  weight.name = name + ".weight";
  weight.initial = Initial::Constant(1);
  bias.name = name + ".bias";
  bias.is_bias = true;
  gamma_ = parameters.Add(weight.name, {dim}, {weight});
  beta_ = parameters.Add(bias.name, {dim}, {bias});
}

at::Tensor LayerNorm::operator()(const at::Tensor& x_ND) const {
  const std::optional<at::Tensor> none;
  return AddNormFunction::apply(x_ND.contiguous(), none, none, gamma_, beta_, DropoutSite{}, Tracks({x_ND, gamma_}));
}

at::Tensor Add(const at::Tensor& x_ND, const Branch& branch) {
  return AddFunction::apply(x_ND.contiguous(), branch.value_ND.contiguous(), branch.dropout);
}

at::Tensor AddNorm(const at::Tensor& x_ND, const Branch& branch, const at::Tensor& bypass_ND, const LayerNorm& norm) {
  std::optional<at::Tensor> bypass;
  if (bypass_ND.defined()) bypass = bypass_ND.contiguous();
  return AddNormFunction::apply(x_ND.contiguous(), std::optional<at::Tensor>(branch.value_ND.contiguous()), bypass, norm.gamma(),
                                norm.beta(), branch.dropout, Tracks({x_ND, branch.value_ND, bypass_ND, norm.gamma()}));
}

at::Tensor Dropout(const at::Tensor& x_ND, const DropoutSite& site) {
  return site.rate > 0 ? DropoutFunction::apply(x_ND.contiguous(), site) : x_ND;
}

}  // namespace strata::model
