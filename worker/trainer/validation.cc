#include "worker/trainer/validation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "model/diagnostics/divergence.h"

namespace strata::trainer {

Validator::Validator(const Job& job, const model::Manifest& manifest, model::SequenceModel& model)
    : model_(model),
      device_(job.environment.device),
      examples_(OpenExamples(job, manifest, job.spec.train.validation_split,
                             {.limit = static_cast<uint64_t>(job.spec.train.validation_sentences),
                              .block_tokens = job.spec.train.block_tokens})),
      batches_(model::FixedBatches(
          *examples_, {.max_tokens = job.spec.train.max_tokens, .max_sentences = job.spec.train.max_sentences})),
      fixed_batch_(model::ToDevice(examples_->Collate(batches_[batches_.size() / 2]), device_)) {}

double Validator::Nll(const std::function<void(int64_t)>& after_batch) {
  at::NoGradGuard no_grad;
  double nll = 0;
  int64_t tokens = 0;
  for (size_t i = 0; i < batches_.size(); ++i) {
    const model::Batch batch = model::ToDevice(examples_->Collate(batches_[i]), device_);
    nll += model_.Loss(batch, /*training=*/false).nll.item<double>();
    tokens += batch.target_tokens;
    after_batch(batch.target_tokens);
  }
  return nll / static_cast<double>(tokens);
}

double DivergenceRatio(const model::NormsByStack& norms) {
  const auto decoder = norms.find("decoder");
  return model::LayerRatio(decoder != norms.end() ? decoder->second : norms.begin()->second).value_or(0);
}

}  // namespace strata::trainer
