// What every job of a trainer is given, and the model and data that it begins with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "model/data/manifest.h"
#include "model/data/examples.h"
#include "model/tasks/task.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/control.h"
#include "worker/trainer/detokeniser.h"
#include "worker/trainer/environment.h"
#include "worker/trainer/events.h"
#include "worker/trainer/ranks.h"
#include "worker/trainer/spec.h"

namespace strata::trainer {

// Owned by main for the whole job.
struct Job {
  TrialSpec spec;
  std::filesystem::path dataset, out;
  bool resume = false;
  int64_t world_size = 1;
  Detokenisers detokenisers;  // this worker's
  Environment environment;
  EventLog* events = nullptr;
  Control* control = nullptr;
  Ranks* ranks = nullptr;  // world_size of them, met
};

// The manifest of the job's dataset, which must be for the spec's task: Failure (data_error) otherwise.
model::Manifest ReadDataset(const Job& job);

// Opens a split. Failure (data_error) where a shard is missing, damaged or of another vocabulary.
std::unique_ptr<model::Examples> OpenExamples(const Job& job, const model::Manifest& manifest, const std::string& split,
                                              const model::ExampleOptions& options);

// A freshly initialised model on the job's device; its seed decides all of it. Failure (bad_spec) where the registry
// has no such task or scheme, or this processor or device lacks train.precision. Afterwards the generators stand at
// the seed.
std::unique_ptr<model::SequenceModel> MakeModel(const Job& job, const model::Manifest& manifest);
// The same for scoring in the `precision` that the spec's field `path` says ("evaluate[0]."), whatever it was trained in.
std::unique_ptr<model::SequenceModel> MakeModel(const Job& job, const model::Manifest& manifest, const std::string& path,
                                                const std::string& precision);

CheckpointIdentity Identity(const Job& job, const model::Manifest& manifest);

int64_t CountElements(const std::vector<model::NamedParameter>& parameters);

}  // namespace strata::trainer
