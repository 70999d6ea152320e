#include "server/service/estimate.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "server/base/spec/spec.h"

namespace strata::service {
namespace {

// What a core does of training, in FLOP/s, in single precision. Measured on the machines that the service was made on;
// an order of magnitude, no promise.
constexpr double kFlopsPerThread = 4e10;

// Weights of an encoder-decoder or decoder-only Transformer; biases and norms are left out as too few.
double Parameters(const v1::ModelSpec& model, double vocabulary) {
  const auto layers = base::ParseDepth(model.depth());
  const double d = model.dim(), attention = 4 * d * d, ffn = 2 * d * model.ffn_dim();
  const double encoder = layers.ok() ? layers->encoder : 0, decoder = layers.ok() ? layers->decoder : 0;
  const double matrices = model.share_embeddings() == "all" ? 1 : model.share_embeddings() == "decoder" ? 2 : 3;
  const double decoder_layer = (encoder > 0 ? 2 : 1) * attention + ffn;
  return matrices * vocabulary * d + encoder * (attention + ffn) + decoder * decoder_layer;
}

double VocabularyOf(const store::Dataset& dataset) {
  const auto manifest = nlohmann::json::parse(dataset.manifest, nullptr, false);
  if (!manifest.is_object() || !manifest.contains("vocabulary") || !manifest["vocabulary"].is_object()) return 32000;
  const auto& size = manifest["vocabulary"]["size"];
  return size.is_number() ? size.get<double>() : 32000;
}

}  // namespace

absl::StatusOr<v1::Estimate> EstimateCost(const Submission& submission, store::Store& store) {
  v1::Estimate estimate;
  estimate.set_trials(static_cast<int32_t>(submission.trials.size()));
  std::map<std::string, double> vocabularies;
  double disk = 0, seconds = 0;
  int64_t updates = 0;
  for (const PlannedTrial& trial : submission.trials) {
    if (!trial.reused_from.empty()) {
      estimate.set_trials_reused(estimate.trials_reused() + 1);
      continue;
    }
    const std::string& name = trial.spec.task().dataset();
    if (!vocabularies.contains(name)) {
      const auto dataset = store.FindDataset(name);
      if (!dataset.ok()) return dataset.status();
      vocabularies[name] = dataset->has_value() ? VocabularyOf(**dataset) : 32000;
    }
    const double parameters = Parameters(trial.spec.model(), vocabularies[name]);
    const auto& train = trial.spec.train();
    updates += train.updates();
    disk += 2 * 4 * parameters;  // final and best weights
    // Forward and backward are 6 FLOP a parameter and token; encoder and decoder each see about half of the tokens.
    const double tokens = static_cast<double>(train.updates()) * train.max_tokens() * train.update_frequency();
    seconds += 6 * parameters * tokens / (kFlopsPerThread * trial.spec.resources().threads());
  }
  estimate.set_updates(updates);
  estimate.set_disk_bytes(static_cast<int64_t>(disk));
  estimate.set_slot_seconds(seconds);
  estimate.set_basis("from the model's size, at 40 GFLOP/s a thread; nothing was measured");
  return estimate;
}

}  // namespace strata::service
