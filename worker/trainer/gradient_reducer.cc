#include "worker/trainer/gradient_reducer.h"

#include <ATen/ATen.h>

#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <unordered_map>
#include <utility>

namespace strata::trainer {
namespace {

constexpr int64_t kBucketElements = 2 << 20;  // 8 MiB of float

// What the buckets' collectives have in common.
struct Pass {
  Ranks* ranks;
  int64_t update = 0;
  std::vector<c10::intrusive_ptr<c10d::Work>> works;  // of this backward pass, by bucket
};

// Sums a bucket over the ranks; c10d's own hooks would divide by their number, and name nothing.
class SumHook final : public c10d::CommHookInterface {
 public:
  SumHook(Pass* pass, size_t buckets) : pass_(pass), buckets_(buckets) {}

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    pass_->ranks->Enter("update " + std::to_string(pass_->update) + ", gradients " +
                        std::to_string(bucket.getIndex() + 1) + " of " + std::to_string(buckets_));
    std::vector<at::Tensor> tensors = {bucket.getBufferRef()};
    pass_->works.push_back(pass_->ranks->group()->allreduce(tensors));
    return pass_->works.back()->getFuture();
  }
  at::Tensor parseHookResult(const c10::IValue& result) override {
    return c10d::detail::parseCppCommHookResult(result);
  }

 private:
  Pass* pass_;
  size_t buckets_;
};

// Gloo's thread tells the future of an error before it tells the work.
bool Failed(c10d::Work& work) { return work.exception() != nullptr || work.getFuture()->hasError(); }

// Keeps its first buckets. c10d's would order them anew after the first pass, by when gradients were ready then: after
// a resume that is another order of summation. And until it has, it collects the order of every pass.
class FixedReducer : public c10d::Reducer {
 public:
  template <typename... Arguments>
  explicit FixedReducer(Arguments&&... arguments) : c10d::Reducer(std::forward<Arguments>(arguments)...) {
    has_rebuilt_bucket_ = true;
  }
};

}  // namespace

std::vector<std::vector<size_t>> GradientBuckets(const std::vector<int64_t>& elements, int64_t limit) {
  std::vector<std::vector<size_t>> buckets;
  int64_t filled = 0;
  for (size_t i = elements.size(); i-- > 0;) {
    if (buckets.empty() || filled + elements[i] > limit) {
      buckets.emplace_back();
      filled = 0;
    }
    buckets.back().push_back(i);
    filled += elements[i];
  }
  return buckets;
}

struct GradientReducer::Impl {
  Pass pass;
  at::Tensor flat;  // [N], all gradients
  size_t buckets = 0;
  std::unique_ptr<FixedReducer> reducer;
};

GradientReducer::GradientReducer(Ranks* ranks, model::FlatParameters& flat) : impl_(std::make_unique<Impl>()) {
  impl_->pass.ranks = ranks;
  impl_->flat = flat.gradients();
  std::vector<at::Tensor> tensors;
  std::vector<int64_t> elements;
  std::unordered_map<size_t, std::string> names;
  for (const model::NamedParameter& parameter : flat.parameters()) {
    names[tensors.size()] = parameter.name;
    tensors.push_back(parameter.tensor);
    elements.push_back(parameter.tensor.numel());
  }
  const std::vector<bool> sparse(tensors.size(), false);
  auto buckets = GradientBuckets(elements, kBucketElements);
  impl_->buckets = buckets.size();
  constexpr int64_t kBytes = kBucketElements * sizeof(float);
  impl_->reducer = std::make_unique<FixedReducer>(
      std::move(tensors), std::move(buckets), c10::intrusive_ptr<c10d::ProcessGroup>::reclaim_copy(ranks->group()),
      sparse, kBytes, /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/false, std::move(names), kBytes,
      /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>{});
  impl_->reducer->register_comm_hook(std::make_unique<SumHook>(&impl_->pass, impl_->buckets));
}

GradientReducer::~GradientReducer() = default;

void GradientReducer::Backward(const at::Tensor& loss, int64_t update) {
  Pass& pass = impl_->pass;
  pass.update = update;
  pass.works.clear();
  impl_->reducer->prepare_for_forward();
  impl_->reducer->prepare_for_backward({});
  try {
    loss.backward();
  } catch (const std::exception& error) {
    for (const auto& work : pass.works) {
      if (Failed(*work)) pass.ranks->Lost(error.what());
    }
    throw;
  }
  if (pass.works.size() != impl_->buckets) {
    throw std::logic_error("A backward pass left parameters without a gradient: only " +
                           std::to_string(pass.works.size()) + " of " + std::to_string(impl_->buckets) +
                           " buckets were complete. Train on one rank.");
  }
}

void GradientReducer::SumAccumulated(int64_t update) {
  impl_->pass.ranks->Sum("update " + std::to_string(update) + ", gradients", impl_->flat);
}

}  // namespace strata::trainer
