#include "model/layers/embedding.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "model/layers/add_norm.h"
#include "model/layers/autograd_types.h"
#include "model/layers/device_rows.h"
#include "model/layers/matrix_product.h"

namespace strata::model {
namespace {

class TableRowsFunction : public torch::autograd::Function<TableRowsFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& table, const at::Tensor& ids, double scale,
                            bool tied) {
    context->save_for_backward({ids});
    context->saved_data["rows"] = table.size(0);
    context->saved_data["scale"] = scale;
    context->saved_data["tied"] = tied;
    at::Tensor out = at::index_select(table, 0, ids);
    return scale == 1 ? out : out.mul_(scale);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor ids = context->get_saved_variables()[0];
    const int64_t rows = context->saved_data["rows"].toInt(), width = gradients[0].size(1);
    const at::Tensor scaled = gradients[0] * context->saved_data["scale"].toDouble();
    at::Tensor d_table;
    if (!UsesKernels(scaled)) {
      d_table = SumByRowOnDevice(scaled, ids, rows);
    } else if (context->saved_data["tied"].toBool()) {
      d_table = at::_sparse_coo_tensor_unsafe(ids.unsqueeze(0), scaled, {rows, width});
    } else {
      d_table = at::zeros({rows, width}, scaled.options()).index_add_(0, ids, scaled);
    }
    return {d_table, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

// The weights of nll and of each class's -log p.
struct Weights {
  double right, uniform;
};
Weights WeightsOf(const Smoothing& smoothing, int64_t classes) {
  if (smoothing.epsilon == 0) return {1, 0};
  const double each = smoothing.epsilon / static_cast<double>(smoothing.over_others ? classes - 1 : classes);
  return {1 - smoothing.epsilon - (smoothing.over_others ? each : 0), each};
}

// May overwrite the logits with the gradient.
LossRows RunCrossEntropy(const at::Tensor& logits, const at::Tensor& targets, const Weights& weights, bool gradient) {
  if (!UsesKernels(logits)) return CrossEntropyOnDevice(logits, targets, weights.right, weights.uniform, gradient);
  const int64_t rows = logits.size(0);
  LossRows out{at::empty({rows}, at::kDouble), at::empty({rows}, at::kDouble), gradient ? logits : at::Tensor()};
  ByType(logits, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::CrossEntropy call{.classes = logits.size(1),
                                                 .logits = MutableData<T>(logits),
                                                 .targets = Data<int64_t>(targets),
                                                 .right = weights.right,
                                                 .uniform = weights.uniform,
                                                 .gradient = gradient,
                                                 .losses = MutableData<double>(out.losses),
                                                 .nlls = MutableData<double>(out.nlls)};
    at::parallel_for(0, rows, 4, [&](int64_t begin, int64_t end) { GetKernels<T>().cross_entropy(call, begin, end); });
  });
  return out;
}

// Bytes of logits held at once: on processors few enough to be near, on a device enough to fill it.
constexpr int64_t kLogitBytes = int64_t{128} << 20, kDeviceLogitBytes = int64_t{256} << 20;

// One or two tables whose rows are the classes, the second's behind the first's.
struct ClassTables {
  at::Tensor table, further;
  Precision precision;

  int64_t classes() const { return table.size(0) + (further.defined() ? further.size(0) : 0); }
  at::Tensor Logits(const at::Tensor& x) const {
    if (!further.defined()) return Product(x, table.t(), precision);
    at::Tensor logits = at::empty({x.size(0), classes()}, x.options());
    ProductInto(First(logits), x, table.t(), /*accumulate=*/false, precision);
    ProductInto(Second(logits), x, further.t(), /*accumulate=*/false, precision);
    return logits;
  }
  void InputGradient(const at::Tensor& d_logits, at::Tensor d_x) const {
    ProductInto(d_x, First(d_logits), table, /*accumulate=*/false, precision);
    if (further.defined()) ProductInto(d_x, Second(d_logits), further, /*accumulate=*/true, precision);
  }
  at::Tensor First(const at::Tensor& logits) const { return logits.narrow(1, 0, table.size(0)); }
  at::Tensor Second(const at::Tensor& logits) const { return logits.narrow(1, table.size(0), further.size(0)); }
};

// sum [classes, D] += d_logits^T x, which starts undefined.
void AddTableGradient(at::Tensor& sum, const at::Tensor& d_logits, const at::Tensor& x, Precision precision) {
  if (!sum.defined()) {
    sum = Product(d_logits.t(), x, precision);
  } else {
    ProductInto(sum, d_logits.t(), x, /*accumulate=*/true, precision);
  }
}

// The gradients are made in the forward pass, while the logits are at hand; backward scales them.
class ClassLossFunction : public torch::autograd::Function<ClassLossFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& table,
                               const std::optional<at::Tensor>& further, const at::Tensor& targets, Smoothing smoothing,
                               bool gradient, Precision precision) {
    const ClassTables tables{table, further.value_or(at::Tensor()), precision};
    const Weights weights = WeightsOf(smoothing, tables.classes());
    const int64_t rows = x.size(0), row_bytes = tables.classes() * static_cast<int64_t>(x.element_size());
    const int64_t chunk = std::max<int64_t>(64, (x.is_cpu() ? kLogitBytes : kDeviceLogitBytes) / row_bytes);
    at::Tensor loss = at::zeros({}, x.options().dtype(at::kDouble)), nll = at::zeros_like(loss), d_x, d_table, d_further;
    if (gradient) d_x = at::empty_like(x);
    for (int64_t at = 0; at < rows; at += chunk) {
      const int64_t count = std::min(chunk, rows - at);
      const at::Tensor part = x.narrow(0, at, count);
      const LossRows sums = RunCrossEntropy(tables.Logits(part), targets.narrow(0, at, count), weights, gradient);
      loss += sums.losses.sum();
      nll += sums.nlls.sum();
      if (!gradient) continue;
      tables.InputGradient(sums.d_logits, d_x.narrow(0, at, count));
      AddTableGradient(d_table, tables.First(sums.d_logits), part, precision);
      if (further) AddTableGradient(d_further, tables.Second(sums.d_logits), part, precision);
    }
    if (gradient) {
      if (!d_table.defined()) d_table = at::zeros_like(table);
      if (further && !d_further.defined()) d_further = at::zeros_like(*further);
      context->save_for_backward({d_x, d_table, d_further});
    }
    context->mark_non_differentiable({nll});
    return {loss, nll};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const bool on_device = !UsesKernels(gradients[0]);
    const double scale = on_device ? 0 : gradients[0].item<double>();  // a device would have to be waited for
    // A second backward pass over a retained graph must find what the first one found, so nothing is scaled in place.
    const auto scaled = [&](const at::Tensor& tensor) {
      if (!tensor.defined()) return tensor;
      if (on_device) return tensor * gradients[0].to(tensor.scalar_type());
      return scale == 1 ? tensor : tensor * scale;
    };
    return {scaled(saved[0]), scaled(saved[1]), scaled(saved[2]), at::Tensor(),
            at::Tensor(),     at::Tensor(),     at::Tensor()};
  }
};

}  // namespace

void CheckIds(const at::Tensor& ids, int64_t vocabulary, const char* what) {
  const int64_t* id = Data<int64_t>(ids);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] < 0 || id[i] >= vocabulary) {
      throw std::invalid_argument(std::string(what) + " id " + std::to_string(id[i]) +
                                  " is outside the vocabulary of " + std::to_string(vocabulary) +
                                  " pieces: the data was prepared with another vocabulary.");
    }
  }
}

const at::Tensor& Positions::Table(int64_t rows) {
  if (table_.defined() && table_.size(0) >= rows) return table_;
  const int64_t count = std::max<int64_t>(rows + rows / 2, 64), half = dim_ / 2;
  const double step = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  // In float32 throughout, as fairseq does: at position 1,000 its rounding is above our bounds.
  const at::Tensor rate = at::exp(at::arange(half, at::kFloat) * -step);
  const at::Tensor angle = at::arange(count, at::kFloat).unsqueeze(1) * rate.unsqueeze(0);
  table_ = at::cat({at::sin(angle), at::cos(angle)}, 1).contiguous();
  table_.select(0, kPad).zero_();
  on_device_ = table_;
  return table_;
}

at::Tensor Positions::Of(const Packing& packing, const at::Tensor& like) {
  Table(packing.length + kPad + 2);
  if (on_device_.device() != like.device()) on_device_ = table_.to(like.device());
  return at::index_select(on_device_, 0, CopyTo(packing.positions_N, like.device())).to(like.scalar_type());
}

at::Tensor KeptWords(const Packing& packing, const DropoutSite& site, bool keep_first) {
  if (site.rate <= 0 || packing.rows == 0) return {};
  const at::Tensor ones = at::ones({1, packing.rows}, at::kFloat), kept = at::empty_like(ones);
  GetKernels<float>().dropout(Data<float>(ones), MutableData<float>(kept), packing.rows, site, 0, 1);
  auto* row = MutableData<float>(kept);
  for (int64_t i = 0; i < packing.rows; ++i) row[i] = row[i] > 0 ? 1.0f : 0.0f;
  for (int64_t b = 0; keep_first && b < packing.batch; ++b) {
    if (packing.keys[b] > 0) row[packing.keys_begin[b]] = 1.0f;
  }
  return kept.view({-1});
}

at::Tensor TableRows(const at::Tensor& table_VW, const at::Tensor& ids_N, double scale, bool tied) {
  return TableRowsFunction::apply(table_VW, CopyTo(ids_N, table_VW.device()), scale, tied);
}

at::Tensor Embed(const at::Tensor& table_VD, const Packing& packing, Positions& positions, const DropoutSite& dropout,
                 bool tied, const at::Tensor& kept_N) {
  CheckIds(packing.tokens_N, table_VD.size(0), "token");
  const at::Tensor at = positions.Of(packing, table_VD);
  at::Tensor x = TableRows(table_VD, packing.tokens_N, std::sqrt(static_cast<double>(table_VD.size(1))), tied);
  if (kept_N.defined()) x = x * CopyTo(kept_N, x.device()).to(x.scalar_type()).unsqueeze(1);
  return Dropout(x.add_(at), dropout);
}

LossSums ProjectedLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& targets_N,
                       const Smoothing& smoothing, Precision precision) {
  CheckIds(targets_N, table_VD.size(0), "target");
  at::Tensor x = x_ND, targets = targets_N;
  const at::Tensor real = targets_N != kPad;
  if (!real.all().item<bool>()) {
    const at::Tensor index = real.nonzero().squeeze(1);
    x = at::index_select(x, 0, CopyTo(index, x.device()));
    targets = at::index_select(targets, 0, index);
  }
  return ClassLoss(x, table_VD, {}, targets, smoothing, precision);
}

LossSums ClassLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& further_KD,
                   const at::Tensor& classes_N, const Smoothing& smoothing, Precision precision) {
  std::optional<at::Tensor> further;
  if (further_KD.defined()) further = further_KD;
  const bool gradient = at::GradMode::is_enabled() && (x_ND.requires_grad() || table_VD.requires_grad());
  const variable_list sums = ClassLossFunction::apply(x_ND, table_VD, further, CopyTo(classes_N, x_ND.device()), smoothing,
                                                       gradient, precision);
  return {.loss = sums[0], .nll = sums[1]};
}

}  // namespace strata::model
