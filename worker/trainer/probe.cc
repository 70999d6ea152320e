#include "worker/trainer/probe.h"

#include "worker/trainer/measurements.h"
#include "worker/trainer/validation.h"

namespace strata::trainer {

void Probe(const Job& job) {
  const model::Manifest manifest = ReadDataset(job);
  const auto model = MakeModel(job, manifest);
  const std::vector<model::NamedParameter> parameters = model->Parameters();
  Validator validator(job, manifest, *model);
  Json fields = {{"job", "probe"},
                 {"resumed_from", nullptr},
                 {"updates", 0},
                 {"parameters", CountElements(parameters)},
                 {"unigram_nll", nullptr}};
  fields.update(StartedFields(job.environment, job.world_size));
  job.events->Emit("started", fields);
  const model::NormsByStack norms = validator.OutputNorms();
  MeasurementRow row;
  row.Scalar("gradient_ratio", DivergenceRatio(norms));
  row.Vectors("gradient_norm_output", norms);
  row.Emit(*job.events, 0);
  job.events->Emit("finished", {{"state", "succeeded"},
                                {"updates", 0},
                                {"weights_sha256", WeightsHash(parameters)},
                                {"best_nll", nullptr},
                                {"final_nll", nullptr}});
  job.events->Sync();
}

}  // namespace strata::trainer
