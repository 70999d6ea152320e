#include "model/layers/embedding.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "model/layers/add_norm.h"
#include "model/layers/autograd_types.h"

namespace strata::model {
namespace {

class EmbedFunction : public torch::autograd::Function<EmbedFunction> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& table, const at::Tensor& tokens,
                            const at::Tensor& positions, bool tied) {
    context->save_for_backward({tokens});
    context->saved_data["rows"] = table.size(0);
    context->saved_data["tied"] = tied;
    at::Tensor out = at::index_select(table, 0, tokens);
    return out.mul_(std::sqrt(static_cast<double>(table.size(1)))).add_(positions);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const at::Tensor tokens = context->get_saved_variables()[0];
    const int64_t rows = context->saved_data["rows"].toInt(), dim = gradients[0].size(1);
    const at::Tensor scaled = gradients[0] * std::sqrt(static_cast<double>(dim));
    at::Tensor d_table;
    if (context->saved_data["tied"].toBool()) {
      d_table = at::_sparse_coo_tensor_unsafe(tokens.unsqueeze(0), scaled, {rows, dim});
    } else {
      d_table = at::zeros({rows, dim}, scaled.options()).index_add_(0, tokens, scaled);
    }
    return {d_table, at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

struct LossRows {
  at::Tensor losses, nlls;  // [rows] float64
};

// Replaces logits by d loss / d logits where `gradient`.
LossRows RunCrossEntropy(const at::Tensor& logits, const at::Tensor& targets, double smoothing, bool gradient) {
  const int64_t rows = logits.size(0);
  LossRows out{at::empty({rows}, at::kDouble), at::empty({rows}, at::kDouble)};
  ByType(logits, [&](auto zero) {
    using T = decltype(zero);
    const typename Kernels<T>::CrossEntropy call{.classes = logits.size(1),
                                                 .logits = MutableData<T>(logits),
                                                 .targets = Data<int64_t>(targets),
                                                 .smoothing = smoothing,
                                                 .gradient = gradient,
                                                 .losses = MutableData<double>(out.losses),
                                                 .nlls = MutableData<double>(out.nlls)};
    at::parallel_for(0, rows, 4, [&](int64_t begin, int64_t end) { GetKernels<T>().cross_entropy(call, begin, end); });
  });
  return out;
}

// Bytes of logits held at once.
constexpr int64_t kLogitBytes = int64_t{128} << 20;

// The gradients are made in the forward pass, while the logits are at hand; backward scales them.
class ProjectedLossFunction : public torch::autograd::Function<ProjectedLossFunction> {
 public:
  static variable_list forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& table, const at::Tensor& targets,
                               double smoothing, bool gradient) {
    const int64_t rows = x.size(0), classes = table.size(0);
    const int64_t chunk = std::max<int64_t>(64, kLogitBytes / (classes * static_cast<int64_t>(x.element_size())));
    at::Tensor loss = at::zeros({}, at::kDouble), nll = at::zeros({}, at::kDouble), d_x, d_table;
    if (gradient) {
      d_x = at::empty_like(x);
      if (rows == 0) d_table = at::zeros_like(table);
    }
    for (int64_t at = 0; at < rows; at += chunk) {
      const int64_t count = std::min(chunk, rows - at);
      const at::Tensor part = x.narrow(0, at, count), logits = at::mm(part, table.t());
      const LossRows sums = RunCrossEntropy(logits, targets.narrow(0, at, count), smoothing, gradient);
      loss += sums.losses.sum();
      nll += sums.nlls.sum();
      if (!gradient) continue;
      at::Tensor d_part = d_x.narrow(0, at, count);
      at::mm_out(d_part, logits, table);
      d_table = at == 0 ? at::mm(logits.t(), part) : d_table.addmm_(logits.t(), part);
    }
    if (gradient) context->save_for_backward({d_x, d_table});
    context->mark_non_differentiable({nll});
    return {loss, nll};
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const double scale = gradients[0].item<double>();
    // A second backward pass over a retained graph must find what the first one found, so nothing is scaled in place.
    const auto scaled = [&](const at::Tensor& tensor) { return scale == 1 ? tensor : tensor * scale; };
    return {scaled(saved[0]), scaled(saved[1]), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

void CheckIds(const at::Tensor& ids, int64_t vocabulary, const char* what) {
  const int64_t* id = Data<int64_t>(ids);
  for (int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] < 0 || id[i] >= vocabulary) {
      throw std::invalid_argument(std::string(what) + " id " + std::to_string(id[i]) + " is outside the vocabulary of " +
                                  std::to_string(vocabulary) + " pieces: the data was prepared with another vocabulary.");
    }
  }
}

}  // namespace

const at::Tensor& Positions::Table(int64_t rows) {
  if (table_.defined() && table_.size(0) >= rows) return table_;
  const int64_t count = std::max<int64_t>(rows + rows / 2, 64), half = dim_ / 2;
  const double step = std::log(10000.0) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  // In float32 throughout, as fairseq does: at position 1,000 its rounding is above our bounds.
  const at::Tensor rate = at::exp(at::arange(half, at::kFloat) * -step);
  const at::Tensor angle = at::arange(count, at::kFloat).unsqueeze(1) * rate.unsqueeze(0);
  table_ = at::cat({at::sin(angle), at::cos(angle)}, 1).contiguous();
  table_.select(0, kPad).zero_();
  return table_;
}

at::Tensor Embed(const at::Tensor& table_VD, const Packing& packing, Positions& positions, const DropoutSite& dropout, bool tied) {
  CheckIds(packing.tokens_N, table_VD.size(0), "token");
  const at::Tensor table = positions.Table(packing.length + kPad + 2);
  const at::Tensor rows = at::index_select(table, 0, packing.positions_N).to(table_VD.scalar_type());
  return Dropout(EmbedFunction::apply(table_VD, packing.tokens_N, rows, tied), dropout);
}

LossSums ProjectedLoss(const at::Tensor& x_ND, const at::Tensor& table_VD, const at::Tensor& targets_N, double smoothing) {
  CheckIds(targets_N, table_VD.size(0), "target");
  at::Tensor x = x_ND, targets = targets_N;
  const at::Tensor real = targets_N != kPad;
  if (!real.all().item<bool>()) {
    const at::Tensor index = real.nonzero().squeeze(1);
    x = at::index_select(x, 0, index);
    targets = at::index_select(targets, 0, index);
  }
  const bool gradient = at::GradMode::is_enabled() && (x.requires_grad() || table_VD.requires_grad());
  const variable_list sums = ProjectedLossFunction::apply(x, table_VD, targets, smoothing, gradient);
  return {.loss = sums[0], .nll = sums[1]};
}

}  // namespace strata::model
