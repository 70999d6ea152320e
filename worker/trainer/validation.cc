#include "worker/trainer/validation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "model/diagnostics/divergence.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

std::unique_ptr<model::Examples> OpenValidation(const Job& job, const model::Manifest& manifest) {
  const std::string& split = job.spec.train.validation_split;
  if (!manifest.splits.contains(split)) {
    std::string known;
    for (const auto& [name, unused] : manifest.splits) known += (known.empty() ? "" : ", ") + name;
    throw Failure(Cause::kDataError, "train.validation_split is \"" + split + "\", but dataset " + manifest.name +
                                         " has only the splits " + known + ". Name one of them, or prepare the dataset with a " +
                                         split + " split.");
  }
  return OpenExamples(job, manifest, split,
                      {.limit = static_cast<uint64_t>(job.spec.train.validation_sentences), .block_tokens = job.spec.train.block_tokens});
}

}  // namespace

Validator::Validator(const Job& job, const model::Manifest& manifest, model::SequenceModel& model, int64_t max_tokens)
    : model_(model),
      device_(job.environment.device),
      examples_(OpenValidation(job, manifest)),
      batches_(model::FixedBatches(*examples_, {.max_tokens = max_tokens, .max_sentences = job.spec.train.max_sentences})),
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
