#include "tests/golden/golden_case.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <fstream>

#include "model/residual/residual_scheme.h"
#include "model/tasks/registry.h"

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

template <typename T>
T Argument(const json& arguments, const std::string& key) {
  try {
    return arguments.at(key).get<T>();
  } catch (const json::exception&) {
    throw CaseError("args." + key + " is missing or of another type");
  }
}

bool Flag(const json& arguments, const std::string& key) {
  return arguments.contains(key) && arguments[key].is_boolean() && arguments[key].get<bool>();
}

// Scheme by what the repositories call it.
std::string SchemeOf(const std::string& repository, const json& arguments) {
  const auto text = [&](const char* key) { return arguments.value(key, json()).is_string() ? arguments[key].get<std::string>() : ""; };
  if (repository == "T-Fixup") return "t_fixup";
  if (repository == "microsoft/torchscale") return "deepnet";
  if (repository == "dlcl") return "dlcl";
  if (repository == "Transformer-Clinic") {
    if (text("init_type") == "deepnet") return "deepnet";
    if (text("init_type") == "adaptive" || text("init_type") == "adaptive-profiling") return "admin";
    throw CaseError("args.init_type \"" + text("init_type") + "\" is unknown");
  }
  const bool s2t = repository == "facebookresearch/fairseq v0.12.2";
  if (repository != "b2t_connection" && !s2t) throw CaseError("repo \"" + repository + "\" is unknown");
  const bool pre = Argument<bool>(arguments, "decoder_normalize_before");
  if (arguments.contains("encoder_normalize_before") && Argument<bool>(arguments, "encoder_normalize_before") != pre) {
    throw CaseError("args normalise before in one stack and after in the other");
  }
  if (Flag(arguments, "no_layer_norm")) return "b2t_no_ln";
  if (Flag(arguments, "residual_bottom_to_top")) return "b2t";
  return pre ? "pre_ln" : "post_ln";
}

std::string TaskOf(const std::string& repository, const json& arguments) {
  if (repository == "facebookresearch/fairseq v0.12.2") return "speech";
  if (repository == "microsoft/torchscale") return "translation";
  const std::string task = Argument<std::string>(arguments, "task");
  if (task == "translation") return task;
  if (task == "language_modeling") return "language_model";
  throw CaseError("args.task \"" + task + "\" is unknown");
}

template <typename Names>
bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

model::ModelConfig ConfigOf(const Case& reference, const json& arguments, const std::string& scheme) {
  model::ModelConfig config;
  config.task = "translation";
  config.scheme = scheme;
  config.encoder_layers = Argument<int64_t>(arguments, "encoder_layers");
  config.decoder_layers = Argument<int64_t>(arguments, "decoder_layers");
  config.dim = Argument<int64_t>(arguments, "decoder_embed_dim");
  config.ffn_dim = Argument<int64_t>(arguments, "decoder_ffn_embed_dim");
  config.heads = Argument<int64_t>(arguments, "decoder_attention_heads");
  for (const auto& [key, value] : {std::pair("encoder_embed_dim", config.dim), {"encoder_ffn_embed_dim", config.ffn_dim},
                                   {"encoder_attention_heads", config.heads}}) {
    if (Argument<int64_t>(arguments, key) != value) throw CaseError(std::string("args.") + key + " differs between the stacks");
  }
  const auto table = reference.tensors.Has("param.encoder.embed_tokens.weight")
                         ? reference.tensors.Shape("param.encoder.embed_tokens.weight")
                         : std::vector<int64_t>();
  if (table.size() != 2) throw CaseError("param.encoder.embed_tokens.weight is missing or no matrix");
  config.vocabulary = table[0];
  if (Argument<int64_t>(reference.facts, "vocab") != config.vocabulary) {
    throw CaseError("vocab differs from the rows of the embedding");
  }
  config.share_embeddings = Argument<bool>(arguments, "share_all_embeddings")               ? "all"
                            : Argument<bool>(arguments, "share_decoder_input_output_embed") ? "decoder"
                                                                                            : "none";
  config.dropout = 0;
  config.label_smoothing = Argument<double>(arguments, "label_smoothing");
  if (reference.facts.contains("label_smoothing") &&
      Argument<double>(reference.facts, "label_smoothing") != config.label_smoothing) {
    throw CaseError("label_smoothing differs from args.label_smoothing");
  }
  return config;
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

model::Batch Case::GetBatch(const std::string& prefix, int64_t vocabulary) const {
  model::Batch batch;
  batch.source_BS = Get(prefix + "src_tokens", at::kLong);
  batch.target_input_BT = Get(prefix + "prev_output_tokens", at::kLong);
  batch.target_BT = Get(prefix + "target", at::kLong);
  for (const at::Tensor& ids : {batch.source_BS, batch.target_input_BT, batch.target_BT}) {
    if (ids.dim() != 2 || ids.numel() == 0 || ids.size(0) != batch.source_BS.size(0)) throw CaseError(prefix + "* is no batch");
    if (ids.lt(0).any().item<bool>() || ids.ge(vocabulary).any().item<bool>()) {
      throw CaseError(prefix + "* has ids outside the vocabulary");
    }
  }
  const at::Tensor lengths = Get(prefix + "src_lengths", at::kLong, {batch.source_BS.size(0)});
  if (!at::equal(lengths, batch.source_BS.ne(model::kPad).sum(1))) throw CaseError(prefix + "src_lengths does not fit the tokens");
  batch.target_tokens = batch.target_BT.ne(model::kPad).sum().item<int64_t>();
  batch.sentences = batch.source_BS.size(0);
  return batch;
}

Kind ReadKind(const Case& reference) {
  const auto repository = Argument<std::string>(reference.facts, "repo");
  const char* key = repository == "microsoft/torchscale" ? "config" : "args";
  const json arguments = reference.facts.value(key, json());
  if (!arguments.is_object()) throw CaseError(std::string(key) + " is missing or no object");
  const std::string scheme = SchemeOf(repository, arguments), task = TaskOf(repository, arguments);
  if (!Contains(model::TaskNames(), task)) return {.skipped_because = "this build has no task \"" + task + "\""};
  if (!Contains(model::SchemeNames(), scheme)) return {.skipped_because = "this build has no scheme \"" + scheme + "\""};
  return {.config = ConfigOf(reference, arguments, scheme)};
}

}  // namespace strata::golden
