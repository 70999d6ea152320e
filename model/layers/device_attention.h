// Attention over packed sentences for tensors on a device: sentences side by side [B, H, T, d], padded to the longest,
// LibTorch's batched products and softmax between. Sums and softmax are float32 (float64 for such inputs), dropout's
// masks the processors' own. The same bits whenever it is repeated; nothing here waits for the device.
//
// Beyond the call only the probabilities [B, H, Tq, Tk] are kept.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "model/layers/kernels.h"

namespace strata::model {

// Where rows stand between packed [N, units x d] and side by side [parts, B, H, T, d] (d: a head's width; a row's `unit`
// is one head's part of it). Not thread-safe.
class HeadPlaces {
 public:
  HeadPlaces() = default;
  // rows_BT: the packed row of each place, any row where there is none. places_N: the place b x T + t of each packed row;
  // may be undefined where nothing is collected. Both int64, on one device.
  HeadPlaces(at::Tensor rows_BT, at::Tensor places_N, int64_t heads);

  int64_t batch() const { return rows_BT_.size(0); }
  int64_t length() const { return rows_BT_.size(1); }

  // The parts x heads units from unit `first` on of each row.
  at::Tensor Spread(const at::Tensor& rows_NC, int64_t head_dim, int64_t first, int64_t parts) const;
  // [N, parts x heads x d].
  at::Tensor Collect(const at::Tensor& heads_PBHTd) const;

 private:
  at::Tensor rows_BT_, places_N_;
  int64_t heads_ = 0;
  // Indices by (units of a row, first unit, parts), and by parts.
  mutable std::map<std::tuple<int64_t, int64_t, int64_t>, at::Tensor> spread_;
  mutable std::map<int64_t, at::Tensor> collect_;
};

// softmax(scale q k^T), [B x H, Tq, Tk]; `hidden` [B, 1, 1 or Tq, Tk] is what no query sees; keyless [B, 1, 1, 1], may be
// undefined: sentences that see nothing and get zeros.
at::Tensor AttentionProbabilities(const at::Tensor& q_BHTd, const at::Tensor& k_BHTd, const at::Tensor& hidden,
                                  const at::Tensor& keyless);

// The spans of one batch on one device. Not thread-safe.
class DeviceAttentionPlan {
 public:
  DeviceAttentionPlan(const std::vector<AttentionSpan>& spans, int64_t heads, bool causal, const at::Device& device);

  // Queries stand in the first columns of q_NC, keys from `key_column` on in kv_MC and values `dim` later; q_NC and kv_MC
  // may be one tensor.
  struct Call {
    at::Tensor q_NC, kv_MC;
    int64_t key_column = 0, dim = 0;
    DropoutSite dropout;
  };
  // context [N, dim]; writes the probabilities before dropout.
  at::Tensor Forward(const Call& call, at::Tensor* probabilities) const;
  // Gradients in the shapes of q_NC and kv_MC; one tensor where these are one.
  std::pair<at::Tensor, at::Tensor> Backward(const Call& call, const at::Tensor& probabilities,
                                             const at::Tensor& d_context) const;

 private:
  struct Heads {
    at::Tensor q, k, v;  // [B, H, T, d]
  };
  Heads SpreadAll(const Call& call) const;
  at::Tensor Dropped(const at::Tensor& weights, const DropoutSite& site) const;
  // Queries and keys are the same rows of one tensor.
  bool Joint(const Call& call) const { return same_rows_ && call.q_NC.is_same(call.kv_MC); }

  int64_t heads_;
  HeadPlaces queries_, keys_;
  bool same_rows_ = true;
  int64_t query_rows_ = 0, key_rows_ = 0;  // packed rows in all
  at::Tensor hidden_;                      // bool [B, 1, 1 or Tq, Tk]
  at::Tensor keyless_, queryless_;         // bool [B, 1, 1, 1], [B, 1, Tq, 1]; undefined where there are none
  at::Tensor mask_begins_;                 // int64 [B, H, Tq]: dropout's number of each row's first element
};

}  // namespace strata::model
