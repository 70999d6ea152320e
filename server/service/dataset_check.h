// What a trial asks of its dataset, from the manifest alone.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/store.h"
#include "strata/v1/trial_spec.pb.h"

namespace strata::service {

// The spec's dataset. FAILED_PRECONDITION: it is not registered. INVALID_ARGUMENT: it is of another task.
absl::StatusOr<store::Dataset> FindDatasetOf(const v1::TrialSpec& spec, store::Store& store);

// Splits that are asked for are there, cut-offs lie in the vocabulary, features have the bins that a model reads.
absl::Status CheckAgainstDataset(const v1::TrialSpec& spec, const nlohmann::json& manifest);

// Pieces; 0 where the manifest does not say.
int32_t VocabularyOf(const nlohmann::json& manifest);

}  // namespace strata::service
