#include "worker/trainer/average.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <set>

#include "worker/trainer/failure.h"

namespace strata::trainer {

int64_t AverageWeights(const std::vector<std::filesystem::path>& files,
                       const std::vector<model::NamedParameter>& parameters, const CheckpointIdentity& identity) {
  if (files.empty()) throw Failure(Cause::kBadSpec, "There is no checkpoint to evaluate. Give --checkpoint FILE.");
  std::set<std::filesystem::path> seen;
  for (const std::filesystem::path& file : files) {
    if (!seen.insert(std::filesystem::weakly_canonical(file)).second) {
      throw Failure(Cause::kBadSpec, "--checkpoint " + file.string() + " is given twice. Give each file once.");
    }
  }
  int64_t update = 0;
  std::vector<at::Tensor> sums;
  at::NoGradGuard no_grad;
  for (const std::filesystem::path& file : files) {
    update = std::max(update, LoadWeights(file, parameters, identity));
    if (files.size() == 1) return update;
    for (size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor weights = parameters[i].tensor.detach().to(at::kDouble);
      if (sums.size() == i) {
        sums.push_back(weights);
      } else {
        sums[i] += weights;
      }
    }
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    parameters[i].tensor.detach().copy_(sums[i] / static_cast<double>(files.size()));
  }
  return update;
}

}  // namespace strata::trainer
