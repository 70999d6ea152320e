// What an experiment will take, roughly: a person reads it before submitting.
#pragma once

#include "absl/status/statusor.h"
#include "server/service/submission.h"

namespace strata::service {

absl::StatusOr<v1::Estimate> EstimateCost(const Submission& submission, store::Store& store);

}  // namespace strata::service
