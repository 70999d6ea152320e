#include "worker/trainer/validation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <numeric>

#include "model/diagnostics/divergence.h"
#include "worker/trainer/batch_memory.h"
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

void OnBatch(const model::Batch& batch, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    ThrowOnBatch(error, "a validation", ShapeOf(batch), "Lower train.max_tokens, or take a worker with more memory.");
  }
}

}  // namespace

Validator::Validator(const Job& job, const model::Manifest& manifest, model::SequenceModel& model, int64_t max_tokens)
    : model_(model),
      ranks_(*job.ranks),
      examples_(OpenValidation(job, manifest)),
      batches_(model::FixedBatches(*examples_, {.max_tokens = max_tokens, .max_sentences = job.spec.train.max_sentences})),
      fixed_batch_(examples_->Collate(batches_[batches_.size() / 2])) {}

double Validator::Nll(const std::function<void(int64_t)>& after_batch) {
  at::NoGradGuard no_grad;
  // Of batches that are another rank's: 0, to which adding changes no bit.
  std::vector<double> nlls(batches_.size()), tokens(batches_.size());
  for (size_t i = static_cast<size_t>(ranks_.rank()); i < batches_.size(); i += static_cast<size_t>(ranks_.size())) {
    const model::Batch batch = examples_->Collate(batches_[i]);
    OnBatch(batch, [&] { nlls[i] = model_.Loss(batch, /*training=*/false).nll.item<double>(); });
    tokens[i] = static_cast<double>(batch.target_tokens);
    after_batch(batch.target_tokens);
  }
  const auto length = static_cast<int64_t>(batches_.size());
  ranks_.Sum("validation, nll", at::from_blob(nlls.data(), {length}, at::kDouble));
  ranks_.Sum("validation, tokens", at::from_blob(tokens.data(), {length}, at::kDouble));
  return std::accumulate(nlls.begin(), nlls.end(), 0.0) / std::accumulate(tokens.begin(), tokens.end(), 0.0);
}

model::NormsByStack Validator::OutputNorms() {
  model::NormsByStack norms;
  OnBatch(fixed_batch_, [&] { norms = model::OutputGradientNorms(model_, fixed_batch_); });
  return norms;
}

model::Vectors Validator::Inspect(const model::Inspection& wanted) {
  model::Vectors vectors;
  OnBatch(fixed_batch_, [&] { vectors = model::Inspect(model_, fixed_batch_, wanted); });
  return vectors;
}

double DivergenceRatio(const model::NormsByStack& norms) {
  const auto decoder = norms.find("decoder");
  return model::LayerRatio(decoder != norms.end() ? decoder->second : norms.begin()->second).value_or(0);
}

}  // namespace strata::trainer
