#include "worker/trainer/batch_memory.h"

#include <ATen/ATen.h>

#include "worker/trainer/failure.h"

namespace strata::trainer {

std::string ShapeOf(const model::Batch& batch) {
  std::string shape = std::to_string(batch.sentences) + " sentences x ";
  if (batch.source_BS.defined()) shape += std::to_string(batch.source_BS.size(1)) + " source and ";
  if (batch.source_features_BSF.defined()) shape += std::to_string(batch.source_features_BSF.size(1)) + " frames and ";
  return shape + std::to_string(batch.target_BT.size(1)) + " target tokens, " + std::to_string(batch.target_tokens) +
         " target tokens in all";
}

void ThrowOnBatch(const std::exception& error, const std::string& doing, const std::string& shape,
                  const std::string& remedy) {
  const Failure failure = ToFailure(error);
  if (failure.cause() != Cause::kOutOfMemory) throw failure;
  throw Failure(Cause::kOutOfMemory, "No memory left in " + doing + ", with a batch of " + shape + ": " +
                                         failure.what() + " " + remedy);
}

}  // namespace strata::trainer
