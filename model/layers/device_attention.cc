#include "model/layers/device_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "model/layers/device_dropout.h"
#include "model/layers/device_path.h"

namespace strata::model {
namespace {

// [x, y, T, d] as [x y, T, d].
at::Tensor Batched(const at::Tensor& heads) { return heads.reshape({-1, heads.size(-2), heads.size(-1)}); }

double ScaleOf(const at::Tensor& heads) { return 1.0 / std::sqrt(static_cast<double>(heads.size(-1))); }

}  // namespace

HeadPlaces::HeadPlaces(at::Tensor rows_BT, at::Tensor places_N, int64_t heads)
    : rows_BT_(std::move(rows_BT)), places_N_(std::move(places_N)), heads_(heads) {}

at::Tensor HeadPlaces::Spread(const at::Tensor& rows_NC, int64_t head_dim, int64_t first, int64_t parts) const {
  const std::vector<int64_t> shape = {parts, batch(), heads_, length(), head_dim};
  if (rows_NC.size(0) == 0) return at::zeros(shape, rows_NC.options());
  const int64_t units = rows_NC.size(1) / head_dim;
  at::Tensor& index = spread_[{units, first, parts}];
  if (!index.defined()) {
    const at::Tensor unit = at::arange(first, first + parts * heads_, rows_BT_.options()).view({parts, 1, heads_, 1});
    index = (rows_BT_.view({1, batch(), 1, length()}) * units + unit).view(-1);
  }
  return at::index_select(rows_NC.contiguous().view({-1, head_dim}), 0, index).view(shape);
}

at::Tensor HeadPlaces::Collect(const at::Tensor& heads_PBHTd) const {
  const int64_t parts = heads_PBHTd.size(0), head_dim = heads_PBHTd.size(-1), places = batch() * length();
  at::Tensor& index = collect_[parts];
  if (!index.defined()) {
    const at::TensorOptions options = places_N_.options();
    // Place b T + t of part p and head h is row ((p B + b) H + h) T + t.
    const at::Tensor first = places_N_ + at::floor_divide(places_N_, length()) * ((heads_ - 1) * length());
    const at::Tensor part = at::arange(parts, options).view({1, parts, 1}) * (places * heads_),
                     head = at::arange(heads_, options).view({1, 1, heads_}) * length();
    index = (first.view({-1, 1, 1}) + part + head).view(-1);
  }
  return at::index_select(heads_PBHTd.contiguous().view({-1, head_dim}), 0, index).view({-1, parts * heads_ * head_dim});
}

at::Tensor AttentionProbabilities(const at::Tensor& q_BHTd, const at::Tensor& k_BHTd, const at::Tensor& hidden,
                                  const at::Tensor& keyless) {
  const at::Tensor q = Batched(q_BHTd), k = Batched(k_BHTd);
  at::Tensor scores = at::empty({q.size(0), q.size(1), k.size(1)}, q.options());
  scores.baddbmm_(q, k.transpose(1, 2), /*beta=*/0, /*alpha=*/ScaleOf(q));
  const at::Tensor by_head = scores.view({q_BHTd.size(0), q_BHTd.size(1), q.size(1), k.size(1)});
  by_head.masked_fill_(hidden, -INFINITY);
  at::Tensor probabilities = at::softmax(by_head, -1);
  if (keyless.defined()) probabilities.masked_fill_(keyless, 0);
  return probabilities.view(scores.sizes());
}

DeviceAttentionPlan::DeviceAttentionPlan(const std::vector<AttentionSpan>& spans, int64_t heads, bool causal,
                                         const at::Device& device)
    : heads_(heads) {
  const auto batch = static_cast<int64_t>(spans.size());
  int64_t query_length = 1, key_length = 1;
  bool has_keyless = false;
  for (const AttentionSpan& span : spans) {
    query_length = std::max(query_length, span.queries);
    key_length = std::max(key_length, span.keys);
    query_rows_ += span.queries;
    key_rows_ += span.keys;
    has_keyless |= span.keys == 0;
    same_rows_ &= span.query_begin == span.key_begin && span.queries == span.keys;
  }
  // All numbers in one buffer, which crosses to the device once: rows of queries and keys, places of both, and per
  // sentence queries, keys, dropout's first number and the numbers of a row.
  std::vector<int64_t> numbers;
  const auto rows = [&](int64_t AttentionSpan::* begin, int64_t AttentionSpan::* count, int64_t length) {
    for (const AttentionSpan& span : spans) {
      for (int64_t t = 0; t < length; ++t) numbers.push_back(span.*count == 0 ? 0 : span.*begin + (t < span.*count ? t : 0));
    }
  };
  const auto places = [&](int64_t AttentionSpan::* count, int64_t length) {
    for (int64_t b = 0; b < batch; ++b) {
      for (int64_t t = 0; t < spans[static_cast<size_t>(b)].*count; ++t) numbers.push_back(b * length + t);
    }
  };
  rows(&AttentionSpan::query_begin, &AttentionSpan::queries, query_length);
  rows(&AttentionSpan::key_begin, &AttentionSpan::keys, key_length);
  places(&AttentionSpan::queries, query_length);
  places(&AttentionSpan::keys, key_length);
  for (const AttentionSpan& span : spans) numbers.push_back(span.queries);
  for (const AttentionSpan& span : spans) numbers.push_back(span.keys);
  for (const AttentionSpan& span : spans) numbers.push_back(span.probabilities_begin);
  for (const AttentionSpan& span : spans) numbers.push_back(PaddedKeys(span.keys));
  const at::Tensor all = CopyTo(at::tensor(numbers, at::kLong), device);
  int64_t taken = 0;
  const auto next = [&](int64_t count) {
    taken += count;
    return all.narrow(0, taken - count, count);
  };
  const at::Tensor query_rows = next(batch * query_length).view({batch, query_length}),
                   key_rows = next(batch * key_length).view({batch, key_length}), query_places = next(query_rows_),
                   key_places = next(key_rows_);
  queries_ = HeadPlaces(query_rows, query_places, heads);
  keys_ = HeadPlaces(key_rows, key_places, heads);
  const at::Tensor queries = next(batch).view({batch, 1, 1, 1}), keys = next(batch).view({batch, 1, 1, 1}),
                   begins = next(batch).view({batch, 1, 1}), padded = next(batch).view({batch, 1, 1});
  const at::Tensor row = at::arange(query_length, all.options()), column = at::arange(key_length, all.options());
  hidden_ = column.view({1, 1, 1, -1}).ge(keys);
  if (causal) hidden_ = hidden_.logical_or(column.view({1, -1}).gt(row.view({-1, 1})));
  if (has_keyless) keyless_ = keys.eq(0);
  if (query_rows_ != batch * query_length) queryless_ = row.view({1, 1, -1, 1}).ge(queries);
  const at::Tensor head = at::arange(heads, all.options()).view({1, -1, 1});
  mask_begins_ = (begins + (head * queries.view({batch, 1, 1}) + row.view({1, 1, -1})) * padded).contiguous();
}

DeviceAttentionPlan::Heads DeviceAttentionPlan::SpreadAll(const Call& call) const {
  const int64_t head_dim = call.dim / heads_;
  if (Joint(call) && call.key_column == call.dim) {
    const at::Tensor all = queries_.Spread(call.q_NC, head_dim, 0, 3);
    return {all[0], all[1], all[2]};
  }
  const at::Tensor kv = keys_.Spread(call.kv_MC, head_dim, call.key_column / head_dim, 2);
  return {queries_.Spread(call.q_NC, head_dim, 0, 1)[0], kv[0], kv[1]};
}

at::Tensor DeviceAttentionPlan::Dropped(const at::Tensor& weights, const DropoutSite& site) const {
  return site.rate > 0 ? DropoutOnDevice(weights, site, mask_begins_) : weights;
}

at::Tensor DeviceAttentionPlan::Forward(const Call& call, at::Tensor* probabilities) const {
  const Heads heads = SpreadAll(call);
  *probabilities = AttentionProbabilities(heads.q, heads.k, hidden_, keyless_);
  const at::Tensor context = at::bmm(Dropped(*probabilities, call.dropout), Batched(heads.v));
  return queries_.Collect(context.view(heads.q.sizes()).unsqueeze(0));
}

std::pair<at::Tensor, at::Tensor> DeviceAttentionPlan::Backward(const Call& call, const at::Tensor& probabilities,
                                                                const at::Tensor& d_context) const {
  TORCH_CHECK(key_rows_ == call.kv_MC.size(0), "attention has a gradient only where every row of keys is a sentence's");
  const Heads heads = SpreadAll(call);
  const at::Tensor d_out_heads = queries_.Spread(d_context, call.dim / heads_, 0, 1)[0];
  if (queryless_.defined()) d_out_heads.masked_fill_(queryless_, 0);
  const at::Tensor d_out = Batched(d_out_heads), q = Batched(heads.q), k = Batched(heads.k), v = Batched(heads.v);
  const at::Tensor d_weights = Dropped(at::bmm(d_out, v.transpose(1, 2)), call.dropout);
  const at::Tensor d_scores =
      at::_softmax_backward_data(d_weights, probabilities, -1, probabilities.scalar_type());
  const auto shaped = [](const at::Tensor& like, int64_t parts) {
    std::vector<int64_t> shape = like.sizes().vec();
    shape.insert(shape.begin(), parts);
    return at::empty(shape, like.options());
  };
  const bool joint = Joint(call);
  const at::Tensor d_q = shaped(heads.q, joint ? 3 : 1), d_kv = joint ? d_q.narrow(0, 1, 2) : shaped(heads.k, 2);
  Batched(d_q[0]).baddbmm_(d_scores, k, /*beta=*/0, /*alpha=*/ScaleOf(q));
  Batched(d_kv[0]).baddbmm_(d_scores.transpose(1, 2), q, /*beta=*/0, /*alpha=*/ScaleOf(q));
  Batched(d_kv[1]).baddbmm_(Dropped(probabilities, call.dropout).transpose(1, 2), d_out, /*beta=*/0, /*alpha=*/1);
  if (joint) {
    const at::Tensor d_joint = queries_.Collect(d_q);
    return {d_joint, d_joint};
  }
  const at::Tensor d_queries = queries_.Collect(d_q), d_keys_values = keys_.Collect(d_kv);
  if (!call.q_NC.is_same(call.kv_MC)) return {d_queries, d_keys_values};
  const at::Tensor d_both = at::cat({d_queries, d_keys_values}, 1);
  return {d_both, d_both};
}

}  // namespace strata::model
