#include "tests/golden/golden_case.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>

namespace strata::golden {
namespace {

using nlohmann::json;

json ReadFacts(const std::filesystem::path& file) {
  std::ifstream in(file);
  if (!in) throw CaseError(file.filename().string() + " is missing beside the tensors");
  json facts = json::parse(in, nullptr, /*allow_exceptions=*/false);
  if (!facts.is_object()) throw CaseError(file.filename().string() + " is no JSON object");
  return facts;
}

}  // namespace

Case Case::Open(const std::filesystem::path& safetensors) {
  std::filesystem::path facts = safetensors;
  facts.replace_extension(".json");
  return {safetensors.stem().string(), ReadFacts(facts), model::SafetensorsReader(safetensors)};
}

bool Case::HasAny(const std::string& prefix) const {
  return std::any_of(tensors.names().begin(), tensors.names().end(),
                     [&](const std::string& name) { return name.compare(0, prefix.size(), prefix) == 0; });
}

at::Tensor Case::Get(const std::string& name, at::ScalarType type) const {
  if (!tensors.Has(name)) throw CaseError("tensor " + name + " is missing");
  at::Tensor tensor = tensors.Get(name);
  if (tensor.scalar_type() != type) throw CaseError("tensor " + name + " has another type than expected");
  return tensor;
}

at::Tensor Case::Get(const std::string& name, at::ScalarType type, at::IntArrayRef shape) const {
  at::Tensor tensor = Get(name, type);
  if (tensor.sizes() != shape) throw CaseError("tensor " + name + " has another shape than expected");
  return tensor;
}

double Case::Scalar(const std::string& name) const { return Get(name, at::kDouble, {}).item<double>(); }

std::vector<double> Case::Series(const std::string& name) const {
  const at::Tensor series = Get(name, at::kDouble);
  if (series.dim() != 1) throw CaseError("tensor " + name + " is no series");
  return {series.const_data_ptr<double>(), series.const_data_ptr<double>() + series.numel()};
}

void Case::GetSource(const std::string& prefix, const model::ModelConfig& config, model::Batch* batch) const {
  const int64_t rows = batch->target_BT.size(0);
  const at::Tensor lengths = Get(prefix + "src_lengths", at::kLong, {rows});
  if (config.task == "speech") {
    batch->source_features_BSF = Get(prefix + "src_tokens", at::kFloat);
    const at::Tensor& features = batch->source_features_BSF;
    if (features.dim() != 3 || features.size(0) != rows || features.size(2) != config.feature_bins) {
      throw CaseError(prefix + "src_tokens is no batch of features");
    }
    batch->source_frames = {lengths.const_data_ptr<int64_t>(), lengths.const_data_ptr<int64_t>() + rows};
    for (const int64_t frames : batch->source_frames) {
      if (frames < 1 || frames > features.size(1)) throw CaseError(prefix + "src_lengths does not fit the features");
    }
    return;
  }
  const at::Tensor source_BS = Get(prefix + "src_tokens", at::kLong);
  if (source_BS.dim() != 2 || source_BS.numel() == 0 || source_BS.size(0) != rows)
    throw CaseError(prefix + "* is no batch");
  if (!at::equal(lengths, source_BS.ne(model::kPad).sum(1)))
    throw CaseError(prefix + "src_lengths does not fit the tokens");
  if (config.encoder_layers > 0) {
    batch->source_BS = source_BS;
  } else if (!at::equal(source_BS, batch->target_input_BT)) {
    throw CaseError(prefix + "src_tokens differs from " + prefix + "prev_output_tokens in a decoder only");
  }
}

model::Batch Case::GetBatch(const std::string& prefix, const model::ModelConfig& config) const {
  model::Batch batch;
  batch.target_input_BT = Get(prefix + "prev_output_tokens", at::kLong);
  batch.target_BT = Get(prefix + "target", at::kLong);
  if (batch.target_BT.dim() != 2 || batch.target_BT.numel() == 0) throw CaseError(prefix + "target is no batch");
  GetSource(prefix, config, &batch);
  for (const at::Tensor& ids : {batch.source_BS, batch.target_input_BT, batch.target_BT}) {
    if (!ids.defined()) continue;
    if (ids.lt(0).any().item<bool>() || ids.ge(config.vocabulary).any().item<bool>()) {
      throw CaseError(prefix + "* has ids outside the vocabulary");
    }
  }
  batch.target_tokens = batch.target_BT.ne(model::kPad).sum().item<int64_t>();
  batch.sentences = batch.target_BT.size(0);
  return batch;
}

}  // namespace strata::golden
