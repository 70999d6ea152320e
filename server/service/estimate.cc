#include "server/service/estimate.h"

#include <algorithm>
#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "server/base/spec/spec.h"

namespace strata::service {
namespace {

// What a core does of training, in FLOP/s, in single precision. Measured on the machines that the service was made on;
// an order of magnitude, no promise.
constexpr double kFlopsPerThread = 4e10;
constexpr double kProbedBatches = 4;     // what a probe computes, in batches of training
constexpr double kSecondsOfProcess = 1;  // to start

// Weights of an encoder-decoder or decoder-only Transformer; biases and norms are left out as too few.
double Parameters(const v1::ModelSpec& model, double vocabulary) {
  const auto layers = base::ParseDepth(model.depth());
  const double d = model.dim(), attention = 4 * d * d, ffn = 2 * d * model.ffn_dim();
  const double encoder = layers.ok() ? layers->encoder : 0, decoder = layers.ok() ? layers->decoder : 0;
  const double matrices = model.share_embeddings() == "all" ? 1 : model.share_embeddings() == "decoder" ? 2 : 3;
  const double decoder_layer = (encoder > 0 ? 2 : 1) * attention + ffn;
  return matrices * vocabulary * d + encoder * (attention + ffn) + decoder * decoder_layer;
}

// Forward and backward are 6 FLOP a parameter and token; encoder and decoder each see about half of the tokens.
double SecondsFromFlops(const v1::TrialSpec& spec, double parameters) {
  const double tokens =
      static_cast<double>(spec.train().max_tokens()) * spec.train().update_frequency() * spec.resources().ranks();
  return 6 * parameters * tokens / (kFlopsPerThread * spec.resources().threads());
}

// Files of weights that stay: final and best, the last resumable checkpoint (weights and two moments), epochs.
double FilesKept(const v1::TrainSpec& train) { return 2 + 3 + train.keep_epoch_checkpoints(); }

std::string Basis(int measured, int computed) {
  const std::string flops = "from the model's size, at 40 GFLOP/s a thread";
  if (measured == 0 && computed == 0) return "nothing is left to do";
  if (measured == 0) return absl::StrCat(flops, "; nothing like it was measured here");
  const std::string here =
      "measured on this cluster, from trainings that differ in seed, length or learning rate alone";
  if (computed == 0) return here;
  return absl::StrCat(measured, " of ", measured + computed, " trials ", here, "; the others ", flops);
}

}  // namespace

absl::StatusOr<v1::Estimate> EstimateCost(const Submission& submission, store::Store& store) {
  v1::Estimate estimate;
  estimate.set_trials(static_cast<int32_t>(submission.trials.size()));
  std::map<std::string, std::optional<double>> known;  // seconds an update, by cost class
  double disk = 0, seconds = 0;
  int64_t updates = 0;
  int measured = 0, computed = 0, extended = 0;
  for (const PlannedTrial& trial : submission.trials) {
    if (!trial.reused_from.empty()) {
      estimate.set_trials_reused(estimate.trials_reused() + 1);
      continue;
    }
    const double parameters = Parameters(trial.spec.model(), trial.vocabulary > 0 ? trial.vocabulary : 32000);
    const double from_flops = SecondsFromFlops(trial.spec, parameters);
    if (trial.probe) {
      seconds += kSecondsOfProcess + kProbedBatches * from_flops;
      ++computed;
      continue;
    }
    const auto& train = trial.spec.train();
    extended += trial.extension ? 1 : 0;
    const int64_t left = train.updates() - (trial.extension ? trial.extension->update : 0);
    updates += left;
    disk += FilesKept(train) * 4 * parameters;
    const auto [at, first] = known.try_emplace(trial.cost_class);
    if (first) {
      const auto found = store.SecondsPerUpdate(trial.cost_class);
      if (!found.ok()) return found.status();
      at->second = *found;
    }
    ++(at->second ? measured : computed);
    seconds += static_cast<double>(left) * at->second.value_or(from_flops);
  }
  estimate.set_updates(updates);
  estimate.set_disk_bytes(static_cast<int64_t>(disk));
  estimate.set_slot_seconds(seconds);
  estimate.set_basis(Basis(measured, computed));
  if (submission.extends) {
    absl::StrAppend(estimate.mutable_basis(), "; ", extended, extended == 1 ? " trial goes" : " trials go",
                    " on from a checkpoint, ", measured + computed - extended, " from the beginning");
  }
  return estimate;
}

}  // namespace strata::service
