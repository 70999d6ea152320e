#include "worker/trainer/probe.h"

#include <algorithm>

#include "model/data/batching.h"
#include "model/diagnostics/layer_health.h"
#include "worker/trainer/initialisation.h"
#include "worker/trainer/measurements.h"
#include "worker/trainer/plan.h"
#include "worker/trainer/validation.h"

namespace strata::trainer {
namespace {

void ProfileAndDescribe(const Job& job, const model::Manifest& manifest, model::SequenceModel& model) {
  const TrainSpec& train = job.spec.train;
  const auto examples = OpenExamples(job, manifest, "train", {.max_length = train.max_length, .block_tokens = train.block_tokens});
  const model::Batches batches = model::TrainingBatches(
      *examples, {.max_tokens = train.max_tokens, .max_sentences = train.max_sentences}, static_cast<uint64_t>(train.seed));
  Initialise(job, *examples, batches, model);
}

MeasurementRow Row(const model::Vectors& vectors) {
  MeasurementRow row;
  row.Vectors(vectors);
  const model::NormsByStack& norms = vectors.at("gradient_norm_output");
  row.Scalar("gradient_ratio", DivergenceRatio(norms));
  if (norms.contains("encoder")) row.Scalar("gradient_ratio_encoder", model::LayerRatio(norms.at("encoder")).value_or(0));
  double spread = 0;
  model::NormsByStack verdicts;
  for (const auto& [stack, values] : norms) {
    spread = std::max(spread, model::GradientSpread(values));
    verdicts[stack] = model::LayerVerdicts(values);
  }
  row.Scalar("gradient_spread", spread);
  row.Vectors("layer_verdict", verdicts);
  return row;
}

}  // namespace

void Probe(const Job& job) {
  const model::Manifest manifest = ReadDataset(job);
  const auto model = MakeModel(job, manifest);
  const std::vector<model::NamedParameter> parameters = model->Parameters();
  Validator validator(job, manifest, *model, ProbeTokens(job.spec, *model, manifest));
  Json fields = {{"job", "probe"},
                 {"resumed_from", nullptr},
                 {"updates", 0},
                 {"parameters", CountElements(parameters)},
                 {"unigram_nll", nullptr}};
  fields.update(StartedFields(job.environment, job.world_size));
  job.events->Emit("started", fields);
  ProfileAndDescribe(job, manifest, *model);
  const model::Vectors vectors = validator.Inspect({.output_gradients = true,
                                                    .parameter_gradients = true,
                                                    .similarity = true,
                                                    .variances = true,
                                                    .location_layers = job.spec.diagnostics.location_layers});
  Row(vectors).Emit(*job.events, 0);
  job.events->Emit("finished", {{"state", "succeeded"},
                                {"updates", 0},
                                {"weights_sha256", WeightsHash(parameters)},
                                {"best_nll", nullptr},
                                {"final_nll", nullptr}});
  job.events->Sync();
}

}  // namespace strata::trainer
