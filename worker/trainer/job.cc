#include "worker/trainer/job.h"

#include <ATen/ATen.h>

#include "model/diagnostics/inspect.h"
#include "model/tasks/registry.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {

model::Manifest ReadDataset(const Job& job) {
  model::Manifest manifest = model::ReadManifest(job.dataset);
  if (manifest.task != job.spec.task.kind) {
    throw Failure(Cause::kDataError, "Dataset " + manifest.name + " in " + job.dataset.string() + " is prepared for " +
                                         manifest.task + ", but task.kind is " + job.spec.task.kind +
                                         ". Give a dataset of that task.");
  }
  return manifest;
}

std::unique_ptr<model::Examples> OpenExamples(const Job& job, const model::Manifest& manifest, const std::string& split,
                                              const model::ExampleOptions& options) {
  try {
    return model::DescribeTask(job.spec.task.kind).open(job.dataset, manifest, split, options);
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
}

std::unique_ptr<model::SequenceModel> MakeModel(const Job& job, const model::Manifest& manifest) {
  return MakeModel(job, manifest, "train.", job.spec.train.precision);
}

std::unique_ptr<model::SequenceModel> MakeModel(const Job& job, const model::Manifest& manifest, const std::string& path,
                                                const std::string& precision) {
  const auto seed = static_cast<uint64_t>(job.spec.train.seed);
  std::unique_ptr<model::SequenceModel> model;
  try {
    at::manual_seed(seed);
    model::ModelConfig config = ToModelConfig(job.spec, manifest.vocabulary_size);
    if (manifest.features.bins > 0) config.feature_bins = manifest.features.bins;
    config.precision = model::ParsePrecision(precision);
    CheckPrecision(job.environment, path + "precision", config.precision);
    model::CheckLocationLayers(job.spec.diagnostics.location_layers, config);
    model = model::CreateModel(config);
  } catch (const std::invalid_argument& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
  model::MoveTo(*model, job.environment.device);
  at::manual_seed(seed);
  return model;
}

CheckpointIdentity Identity(const Job& job, const model::Manifest& manifest) {
  return {.spec_lines = TrainingLines(job.spec),
          .dataset_digest = manifest.digest,
          .world_size = job.world_size,
          .threads = job.environment.threads,
          .isa = job.environment.isa,
          .device = job.environment.device_name,
          .libtorch = job.environment.libtorch};
}

int64_t CountElements(const std::vector<model::NamedParameter>& parameters) {
  int64_t count = 0;
  for (const auto& parameter : parameters) count += parameter.tensor.numel();
  return count;
}

}  // namespace strata::trainer
