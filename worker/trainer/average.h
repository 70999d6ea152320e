// Weights for an evaluation: of one checkpoint, or the mean of several.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "model/tasks/task.h"
#include "worker/trainer/checkpoint.h"

namespace strata::trainer {

// Fills `parameters` with the mean of the files' weights, tensor by tensor, summed in double; one file's are copied as
// they are. Returns the latest update among them. Failure: as LoadWeights; bad_spec for no file and for one given
// twice.
int64_t AverageWeights(const std::vector<std::filesystem::path>& files,
                       const std::vector<model::NamedParameter>& parameters, const CheckpointIdentity& identity);

}  // namespace strata::trainer
