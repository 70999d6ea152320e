#include "model/layers/add_norm.h"

#include "model/layers/autograd_types.h"
#include "model/layers/device_dropout.h"
#include "model/layers/device_rows.h"
#include "model/layers/residual_sums.h"

namespace strata::model {
namespace {

bool Tracks(std::initializer_list<at::Tensor> tensors) {
  if (!at::GradMode::is_enabled()) return false;
  for (const at::Tensor& tensor : tensors) {
    if (tensor.defined() && tensor.requires_grad()) return true;
  }
  return false;
}

std::optional<at::Tensor> Defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor.contiguous()) : std::nullopt;
}

// `terms` without its tensors.
ResidualTerms Scales(const ResidualTerms& terms) {
  return {.x = terms.x, .branch = terms.branch, .bypass = terms.bypass};
}

template <typename T>
typename Kernels<T>::Scales ScalesOf(const ResidualTerms& terms) {
  return {.plain = IsPlain(terms),
          .x = static_cast<T>(terms.x),
          .branch = static_cast<T>(terms.branch),
          .bypass = static_cast<T>(terms.bypass),
          .x_weights = Data<T>(terms.x_weights_D)};
}

Sums RunAddNorm(const SumCall& call) {
  const at::Tensor& x = call.x;
  if (!UsesKernels(x)) return AddNormOnDevice(call);
  const bool norms = call.gamma.defined();
  Sums out;
  if (call.keep || !norms) out.sum = at::empty_like(x);
  if (norms) out.y = at::empty_like(x);
  if (call.keep && norms) out.statistics = at::empty({x.size(0), 2}, x.options());
  ByType(x, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::AddNorm rows{.rows = x.size(0),
                                            .width = x.size(1),
                                            .x = Data<T>(x),
                                            .branch = Data<T>(call.branch),
                                            .bypass = Data<T>(call.terms.bypass_ND),
                                            .gamma = Data<T>(call.gamma),
                                            .beta = Data<T>(call.beta),
                                            .after = Data<T>(call.after),
                                            .sum = MutableData<T>(out.sum),
                                            .y = MutableData<T>(out.y),
                                            .statistics = MutableData<T>(out.statistics),
                                            .epsilon = kNormEpsilon,
                                            .dropout = call.site,
                                            .scales = ScalesOf<T>(call.terms)};
    at::parallel_for(0, x.size(0), kRowGrain,
                     [&](int64_t begin, int64_t end) { GetKernels<T>().add_norm(rows, begin, end); });
  });
  return out;
}

at::Tensor RunDropout(const at::Tensor& in, const DropoutSite& site) {
  if (!UsesKernels(in)) return DropoutOnDevice(in, site);
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

SumGradients RunBackward(const SavedSum& saved, const at::Tensor& d_y) {
  const ResidualTerms& terms = saved.terms;
  const at::Tensor& weights = terms.x_weights_D;
  const bool drops = saved.has_branch && saved.site.rate > 0, norms = saved.gamma.defined();
  const bool own_branch = saved.has_branch && (drops || weights.defined() || terms.branch != terms.x);
  const bool own_bypass = saved.has_bypass && (weights.defined() || terms.bypass != terms.x);
  SumGradients out;
  if (!norms && !own_branch && !own_bypass && IsPlain(terms)) {
    out.x = out.branch = out.bypass = d_y;
    return out;
  }
  if (!UsesKernels(d_y)) return AddNormBackwardOnDevice(saved, d_y);
  out.x = at::empty_like(d_y);
  out.branch = own_branch ? at::empty_like(d_y) : saved.has_branch ? out.x : at::Tensor();
  out.bypass = own_bypass ? at::empty_like(d_y) : saved.has_bypass ? out.x : at::Tensor();
  if (weights.defined()) out.x_weights = at::zeros_like(weights);
  if (norms) {
    out.gamma = at::zeros_like(saved.gamma);
    out.beta = at::zeros_like(saved.gamma);
  }
  ByType(d_y, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::AddNormBackward call{.rows = d_y.size(0),
                                                    .width = d_y.size(1),
                                                    .d_y = Data<T>(d_y),
                                                    .sum = Data<T>(saved.sum),
                                                    .statistics = Data<T>(saved.statistics),
                                                    .gamma = Data<T>(saved.gamma),
                                                    .x = Data<T>(saved.x),
                                                    .d_x = MutableData<T>(out.x),
                                                    .d_branch = own_branch ? MutableData<T>(out.branch) : nullptr,
                                                    .d_bypass = own_bypass ? MutableData<T>(out.bypass) : nullptr,
                                                    .gamma_grad = MutableData<T>(out.gamma),
                                                    .beta_grad = MutableData<T>(out.beta),
                                                    .x_weights_grad = MutableData<T>(out.x_weights),
                                                    .dropout = saved.site,
                                                    .scales = ScalesOf<T>(terms)};
    GetKernels<T>().add_norm_backward(call, 0, d_y.size(0));
  });
  return out;
}

// norm(sum) + after, or the sum itself where gamma is undefined.
class ResidualFunction : public torch::autograd::Function<ResidualFunction> {
 public:
  using Optional = std::optional<at::Tensor>;

  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const Optional& branch,
                            const Optional& bypass, const Optional& x_weights, const Optional& gamma,
                            const Optional& beta, const Optional& after, ResidualTerms terms, DropoutSite site,
                            bool keep) {
    const at::Tensor none;
    // The arguments, not the tensors of `terms`, are what autograd watches.
    terms.bypass_ND = bypass.value_or(none);
    terms.x_weights_D = x_weights.value_or(none);
    const at::Tensor norm = gamma.value_or(none);
    const Sums out = RunAddNorm({.x = x,
                                 .branch = branch.value_or(none),
                                 .terms = terms,
                                 .gamma = norm,
                                 .beta = beta.value_or(none),
                                 .after = after.value_or(none),
                                 .site = site,
                                 .keep = keep});
    if (keep) {
      context->save_for_backward(
          {norm.defined() ? out.sum : none, out.statistics, norm, x_weights ? x : none, terms.x_weights_D});
      SaveSite(context, site);
      auto& data = context->saved_data;
      data["branch"] = branch.has_value();
      data["bypass"] = bypass.has_value();
      data["after"] = after.has_value();
      data["scales"] = c10::IValue(std::vector<double>{terms.x, terms.branch, terms.bypass});
    }
    return norm.defined() ? out.y : out.sum;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    auto& data = context->saved_data;
    const std::vector<double> scales = data["scales"].toDoubleVector();
    const at::Tensor d_y = gradients[0].contiguous(), none;
    const SumGradients out =
        RunBackward({.sum = saved[0],
                     .statistics = saved[1],
                     .gamma = saved[2],
                     .x = saved[3],
                     .terms = {.x_weights_D = saved[4], .x = scales[0], .branch = scales[1], .bypass = scales[2]},
                     .has_branch = data["branch"].toBool(),
                     .has_bypass = data["bypass"].toBool(),
                     .site = LoadSite(context)},
                    d_y);
    return {out.x,
            data["branch"].toBool() ? out.branch : none,
            data["bypass"].toBool() ? out.bypass : none,
            out.x_weights,
            out.gamma,
            out.beta,
            data["after"].toBool() ? d_y : none,
            none,
            none,
            none};
  }
};

class CombineFunction : public torch::autograd::Function<CombineFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weights, int64_t row, at::TensorList inputs) {
    variable_list saved(inputs.begin(), inputs.end());
    const at::Tensor out = UsesKernels(inputs[0]) ? Sum(saved, weights, row) : CombineOnDevice(weights[row].view(-1), saved);
    saved.push_back(weights);
    context->save_for_backward(std::move(saved));
    context->saved_data["row"] = row;
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    variable_list inputs = context->get_saved_variables();
    const at::Tensor weights = inputs.back(), d_out = gradients[0].contiguous();
    inputs.pop_back();
    const int64_t row = context->saved_data["row"].toInt(), count = static_cast<int64_t>(inputs.size());
    variable_list out = {at::zeros_like(weights), at::Tensor()};
    if (!UsesKernels(d_out)) {
      variable_list d_inputs = CombineBackwardOnDevice(weights[row].view(-1), inputs, d_out, out[0][row].view(-1));
      out.insert(out.end(), d_inputs.begin(), d_inputs.end());
      return out;
    }
    for (const at::Tensor& input : inputs) out.push_back(at::empty_like(input));
    ByType(d_out, [&](auto zero) {
      using T = decltype(zero);
      const std::vector<const T*> from = Pointers<T>(inputs);
      std::vector<T*> to;
      for (int64_t i = 0; i < count; ++i) to.push_back(MutableData<T>(out[2 + i]));
      std::vector<double> sums(inputs.size());
      const typename Kernels<T>::CombineBackward call{.count = count,
                                                      .inputs = from.data(),
                                                      .weights = Row<T>(weights, row),
                                                      .d_out = Data<T>(d_out),
                                                      .d_inputs = to.data(),
                                                      .weights_grad = sums.data()};
      GetKernels<T>().combine_backward(call, 0, d_out.numel());
      T* row_grad = MutableData<T>(out[0]) + row * weights.size(1);
      for (int64_t i = 0; i < count; ++i) row_grad[i] = static_cast<T>(sums[i]);
    });
    return out;
  }

 private:
  static at::Tensor Sum(const variable_list& inputs, const at::Tensor& weights, int64_t row) {
    at::Tensor out = at::empty_like(inputs[0]);
    ByType(out, [&](auto zero) {
      using T = decltype(zero);
      const std::vector<const T*> from = Pointers<T>(inputs);
      const typename Kernels<T>::Combine call{.count = static_cast<int64_t>(inputs.size()),
                                              .inputs = from.data(),
                                              .weights = Row<T>(weights, row),
                                              .out = MutableData<T>(out)};
      GetKernels<T>().combine(call, 0, out.numel());
    });
    return out;
  }
  template <typename T>
  static std::vector<const T*> Pointers(const variable_list& tensors) {
    std::vector<const T*> pointers;
    for (const at::Tensor& tensor : tensors) pointers.push_back(Data<T>(tensor));
    return pointers;
  }
  template <typename T>
  static const T* Row(const at::Tensor& weights, int64_t row) {
    return Data<T>(weights) + row * weights.size(1);
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
  return ResidualFunction::apply(x_ND.contiguous(), none, none, none, std::optional(gamma_), std::optional(beta_), none,
                                 ResidualTerms{}, DropoutSite{}, Tracks({x_ND, gamma_}));
}

at::Tensor Add(const at::Tensor& x_ND, const Branch& branch, const ResidualTerms& terms) {
  const std::optional<at::Tensor> none;
  return ResidualFunction::apply(x_ND.contiguous(), Defined(branch.value_ND), Defined(terms.bypass_ND),
                                 Defined(terms.x_weights_D), none, none, none, Scales(terms), branch.dropout,
                                 Tracks({x_ND, branch.value_ND, terms.bypass_ND, terms.x_weights_D}));
}

at::Tensor AddNorm(const at::Tensor& x_ND, const Branch& branch, const ResidualTerms& terms, const LayerNorm& norm,
                   const at::Tensor& after_ND) {
  return ResidualFunction::apply(
      x_ND.contiguous(), Defined(branch.value_ND), Defined(terms.bypass_ND), Defined(terms.x_weights_D),
      Defined(norm.gamma()), Defined(norm.beta()), Defined(after_ND), Scales(terms), branch.dropout,
      Tracks({x_ND, branch.value_ND, terms.bypass_ND, terms.x_weights_D, norm.gamma(), after_ND}));
}

at::Tensor Combine(const at::Tensor& weights, int64_t row, const std::vector<at::Tensor>& inputs_ND) {
  variable_list inputs;
  for (const at::Tensor& input : inputs_ND) inputs.push_back(input.contiguous());
  return CombineFunction::apply(weights, row, at::TensorList(inputs));
}

at::Tensor Dropout(const at::Tensor& x_ND, const DropoutSite& site) {
  return site.rate > 0 ? DropoutFunction::apply(x_ND.contiguous(), site) : x_ND;
}

}  // namespace strata::model
