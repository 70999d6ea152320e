#include "model/layers/attention.h"

#include <cmath>

#include "model/layers/autograd_types.h"
#include "model/layers/device_attention.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

// Keeps a plan alive inside an autograd context.
struct PlanHolder : torch::CustomClassHolder {
  explicit PlanHolder(std::shared_ptr<const AttentionPlan> held) : plan(std::move(held)) {}
  std::shared_ptr<const AttentionPlan> plan;
};

// Views of the same rows: where queries, keys and values stand in joint or separate projections.
struct Projected {
  at::Tensor q;         // [N, stride], queries in the first D columns
  at::Tensor kv;        // [M, stride]
  int64_t key_column;   // of the keys; the values follow D later
};

template <typename T>
typename Kernels<T>::Attention Call(const AttentionPlan& plan, const Projected& p, int64_t dim, const at::Tensor& context,
                                    const at::Tensor& probabilities, const DropoutSite& site) {
  return {.shape = {.spans = plan.spans.data(),
                    .count = static_cast<int64_t>(plan.spans.size()),
                    .heads = plan.heads,
                    .head_dim = dim / plan.heads,
                    .causal = plan.causal},
          .q = Data<T>(p.q),
          .k = Data<T>(p.kv) + p.key_column,
          .v = Data<T>(p.kv) + p.key_column + dim,
          .q_stride = p.q.stride(0),
          .kv_stride = p.kv.stride(0),
          .context = MutableData<T>(context),
          .context_stride = dim,
          .probabilities = MutableData<T>(probabilities),
          .dropout = site};
}

const DeviceAttentionPlan& OnDevice(const AttentionPlan& plan, const at::Device& device) {
  if (plan.on_device == nullptr)
    plan.on_device = std::make_shared<DeviceAttentionPlan>(plan.spans, plan.heads, plan.causal, device);
  return *plan.on_device;
}

struct Attended {
  at::Tensor context;        // softmax(q k^T) v, [N, D]
  at::Tensor probabilities;  // undefined where they are not kept
};
Attended RunAttention(const AttentionPlan& plan, const Projected& p, int64_t dim, const DropoutSite& site, bool keep) {
  Attended out;
  if (!UsesKernels(p.q)) {
    out.context = OnDevice(plan, p.q.device()).Forward({p.q, p.kv, p.key_column, dim, site}, &out.probabilities);
    if (!keep) out.probabilities.reset();
    return out;
  }
  out.context = at::empty({p.q.size(0), dim}, p.q.options());
  if (keep) out.probabilities = at::empty({plan.probabilities}, p.q.options());
  ByType(out.context, [&](auto zero) {
    using T = decltype(zero);
    const auto call = Call<T>(plan, p, dim, out.context, out.probabilities, site);
    at::parallel_for(0, call.shape.count, 1, [&](int64_t begin, int64_t end) { GetKernels<T>().attention(call, begin, end); });
  });
  return out;
}

// Gradients in the shapes of p.q and p.kv, one tensor where these are one.
struct ProjectedGradients {
  at::Tensor q, kv;
};
ProjectedGradients RunAttentionBackward(const AttentionPlan& plan, const Projected& p, int64_t dim,
                                        const at::Tensor& probabilities, const DropoutSite& site,
                                        const at::Tensor& d_context) {
  if (!UsesKernels(d_context)) {
    const auto [d_q, d_kv] =
        OnDevice(plan, p.q.device()).Backward({p.q, p.kv, p.key_column, dim, site}, probabilities, d_context);
    return {d_q, d_kv};
  }
  ProjectedGradients out{.q = at::empty_like(p.q)};
  out.kv = p.kv.is_same(p.q) ? out.q : at::empty_like(p.kv);
  ByType(d_context, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::AttentionBackward call{
        .forward = Call<T>(plan, p, dim, /*context=*/{}, probabilities, site),
        .d_context = Data<T>(d_context),
        .d_q = MutableData<T>(out.q),
        .d_k = MutableData<T>(out.kv) + p.key_column,
        .d_v = MutableData<T>(out.kv) + p.key_column + dim};
    at::parallel_for(0, call.forward.shape.count, 1,
                     [&](int64_t begin, int64_t end) { GetKernels<T>().attention_backward(call, begin, end); });
  });
  return out;
}

void Remember(AutogradContext* context, const std::shared_ptr<const AttentionPlan>& plan, const DropoutSite& site,
              Precision precision) {
  context->saved_data["plan"] = c10::IValue::make_capsule(c10::make_intrusive<PlanHolder>(plan));
  context->saved_data["rate"] = site.rate;
  context->saved_data["seed"] = static_cast<int64_t>(site.seed);
  context->saved_data["precision"] = static_cast<int64_t>(precision);
}
struct Remembered {
  std::shared_ptr<const AttentionPlan> plan;
  DropoutSite site;
  Precision precision;
};
Remembered Recall(AutogradContext* context) {
  auto& data = context->saved_data;
  return {static_cast<PlanHolder*>(data["plan"].toCapsule().get())->plan,
          {.rate = data["rate"].toDouble(), .seed = static_cast<uint64_t>(data["seed"].toInt())},
          static_cast<Precision>(data["precision"].toInt())};
}

class SelfAttentionFunction : public torch::autograd::Function<SelfAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& in_weight, const at::Tensor& in_bias,
                            const at::Tensor& out_weight, const at::Tensor& out_bias,
                            const std::shared_ptr<const AttentionPlan>& plan, DropoutSite site, bool keep,
                            Precision precision) {
    const int64_t dim = x.size(1);
    const at::Tensor joint = Product(in_bias, x, in_weight.t(), precision);
    const Attended attended = RunAttention(*plan, {joint, joint, dim}, dim, site, keep);
    if (keep) {
      context->save_for_backward({x, joint, attended.probabilities, attended.context, in_weight, out_weight});
      Remember(context, plan, site, precision);
    }
    return Product(out_bias, attended.context, out_weight.t(), precision);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &joint = saved[1], &probabilities = saved[2], &attended = saved[3], &in_weight = saved[4],
                     &out_weight = saved[5];
    const Remembered call = Recall(context);
    const int64_t dim = x.size(1);
    const at::Tensor d_y = gradients[0].contiguous();
    const at::Tensor d_joint = RunAttentionBackward(*call.plan, {joint, joint, dim}, dim, probabilities, call.site,
                                                    Product(d_y, out_weight, call.precision))
                                   .q;
    const at::Tensor none;
    return {Product(d_joint, in_weight, call.precision),
            Product(d_joint.t(), x, call.precision),
            ColumnSums(d_joint),
            Product(d_y.t(), attended, call.precision),
            ColumnSums(d_y),
            none,
            none,
            none,
            none};
  }
};

class CrossAttentionFunction : public torch::autograd::Function<CrossAttentionFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& memory, const at::Tensor& in_weight,
                            const at::Tensor& in_bias, const at::Tensor& out_weight, const at::Tensor& out_bias,
                            const std::shared_ptr<const AttentionPlan>& plan, DropoutSite site, bool keep,
                            Precision precision) {
    const int64_t dim = x.size(1);
    const at::Tensor q = Product(in_bias.narrow(0, 0, dim), x, in_weight.narrow(0, 0, dim).t(), precision);
    const at::Tensor kv =
        Product(in_bias.narrow(0, dim, 2 * dim), memory, in_weight.narrow(0, dim, 2 * dim).t(), precision);
    const Attended attended = RunAttention(*plan, {q, kv, 0}, dim, site, keep);
    if (keep) {
      context->save_for_backward({x, memory, q, kv, attended.probabilities, attended.context, in_weight, out_weight});
      Remember(context, plan, site, precision);
    }
    return Product(out_bias, attended.context, out_weight.t(), precision);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &memory = saved[1], &q = saved[2], &kv = saved[3], &probabilities = saved[4],
                     &attended = saved[5], &in_weight = saved[6], &out_weight = saved[7];
    const Remembered call = Recall(context);
    const int64_t dim = x.size(1);
    const at::Tensor d_y = gradients[0].contiguous();
    const auto [d_q, d_kv] = RunAttentionBackward(*call.plan, {q, kv, 0}, dim, probabilities, call.site,
                                                  Product(d_y, out_weight, call.precision));
    const at::Tensor d_in_weight = at::empty_like(in_weight);
    ProductInto(d_in_weight.narrow(0, 0, dim), d_q.t(), x, /*accumulate=*/false, call.precision);
    ProductInto(d_in_weight.narrow(0, dim, 2 * dim), d_kv.t(), memory, /*accumulate=*/false, call.precision);
    const at::Tensor none;
    return {Product(d_q, in_weight.narrow(0, 0, dim), call.precision),
            Product(d_kv, in_weight.narrow(0, dim, 2 * dim), call.precision),
            d_in_weight,
            at::cat({ColumnSums(d_q), ColumnSums(d_kv)}),
            Product(d_y.t(), attended, call.precision),
            ColumnSums(d_y),
            none,
            none,
            none,
            none};
  }
};

}  // namespace

std::shared_ptr<const AttentionPlan> PlanAttention(const Packing& queries, const Packing& keys, int64_t heads, bool causal) {
  auto plan = std::make_shared<AttentionPlan>();
  plan->spans = Spans(queries, keys, heads, &plan->probabilities);
  plan->heads = heads;
  plan->causal = causal;
  return plan;
}

Attention::Attention(ParameterStore& parameters, const std::string& prefix, const std::string& stack, int64_t layer, int64_t dim,
                     int64_t heads, bool cross, Precision precision)
    : dim_(dim), heads_(heads), precision_(precision) {
  const auto part = [&](const std::string& name, Role role, bool is_bias, Initial initial) {
    return ParameterPart{.name = prefix + "." + name + (is_bias ? ".bias" : ".weight"),
                         .role = role,
                         .is_bias = is_bias,
                         .stack = stack,
                         .layer = layer,
                         .rows = dim,
                         .fan_in = dim,
                         .fan_out = dim,
                         .initial = initial,
                         .cross_attention = cross};
  };
  const Initial joint = Initial::XavierUniform(dim, dim, std::sqrt(0.5));
  const Initial linear_bias = Initial::Uniform(1 / std::sqrt(static_cast<double>(dim)));
  std::vector<ParameterPart> weights, biases;
  for (const auto& [name, role] : {std::pair("q_proj", Role::kQuery), {"k_proj", Role::kKey}, {"v_proj", Role::kValue}}) {
    weights.push_back(part(name, role, false, joint));
    biases.push_back(part(name, role, true, linear_bias));
  }
  in_weight_ = parameters.Add(prefix + ".in_proj_weight", {3 * dim, dim}, weights);
  in_bias_ = parameters.Add(prefix + ".in_proj_bias", {3 * dim}, biases);
  out_weight_ = parameters.Add(prefix + ".out_proj.weight", {dim, dim},
                               {part("out_proj", Role::kOutProjection, false, Initial::XavierUniform(dim, dim))});
  out_bias_ = parameters.Add(prefix + ".out_proj.bias", {dim},
                             {part("out_proj", Role::kOutProjection, true, Initial::Constant(0))});
}

at::Tensor Attention::Self(const at::Tensor& x_ND, std::shared_ptr<const AttentionPlan> plan, const DropoutSite& dropout) const {
  const bool keep = at::GradMode::is_enabled() && (x_ND.requires_grad() || in_weight_.requires_grad());
  return SelfAttentionFunction::apply(x_ND, in_weight_, in_bias_, out_weight_, out_bias_, plan, dropout, keep,
                                      precision_);
}

at::Tensor Attention::Cross(const at::Tensor& x_ND, const at::Tensor& memory_MD, std::shared_ptr<const AttentionPlan> plan,
                            const DropoutSite& dropout) const {
  const bool keep =
      at::GradMode::is_enabled() && (x_ND.requires_grad() || memory_MD.requires_grad() || in_weight_.requires_grad());
  return CrossAttentionFunction::apply(x_ND, memory_MD, in_weight_, in_bias_, out_weight_, out_bias_, plan, dropout, keep,
                                       precision_);
}

at::Tensor Attention::ProjectKeysValues(const at::Tensor& memory_MD) const {
  return Product(in_bias_.narrow(0, dim_, 2 * dim_), memory_MD, in_weight_.narrow(0, dim_, 2 * dim_).t(), precision_);
}

}  // namespace strata::model
