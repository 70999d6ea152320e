// What model a case holds, read from what its repository wrote beside it.
#include <ATen/ATen.h>

#include <algorithm>

#include "model/residual/residual_scheme.h"
#include "model/tasks/registry.h"
#include "tests/golden/golden_case.h"

namespace strata::golden {
namespace {

using nlohmann::json;

constexpr const char* kSpeechRepository = "facebookresearch/fairseq v0.12.2";
constexpr const char* kTorchscale = "microsoft/torchscale";

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

std::string Text(const json& arguments, const char* key) {
  return arguments.contains(key) && arguments[key].is_string() ? arguments[key].get<std::string>() : "";
}

// Whether layers normalise before their sub-layers; both stacks must agree.
bool NormalisesBefore(const json& arguments) {
  const bool pre = Argument<bool>(arguments, "decoder_normalize_before");
  if (arguments.contains("encoder_normalize_before") && Argument<bool>(arguments, "encoder_normalize_before") != pre) {
    throw CaseError("args normalise before in one stack and after in the other");
  }
  return pre;
}

struct Scheme {
  std::string name, options;
};

Scheme AuthorsScheme(const Case& reference, const json& arguments, bool speech) {
  for (const char* key : {"decay_inner_residual", "no_inner_layer_norm"}) {
    if (Flag(arguments, key)) throw CaseError(std::string("args.") + key + " is set: no scheme of ours does that");
  }
  const bool pre = NormalisesBefore(arguments);
  // The speech code has no argument for the bypass: it was added from outside, and the note says so.
  const std::string note = Text(reference.facts, "note"), name = Text(reference.facts, "name");
  const bool added = speech && (note.find("B2T added") != std::string::npos || name.find("b2t") != std::string::npos);
  const bool bypass = Flag(arguments, "residual_bottom_to_top") || added;
  if (Flag(arguments, "no_layer_norm")) {
    if (!bypass) throw CaseError("args.no_layer_norm without residual_bottom_to_top: no scheme of ours does that");
    return {"b2t_no_ln", ""};
  }
  if (bypass && pre) throw CaseError("args have a bypass and normalise before: no scheme of ours does that");
  if (bypass) return {"b2t", ""};
  if (!pre) return {"post_ln", ""};
  return {"pre_ln", Flag(arguments, "no_decoder_final_norm") ? "final_norm=false" : "final_norm=true"};
}

// Scheme by what the repositories call it.
Scheme SchemeOf(const Case& reference, const std::string& repository, const json& arguments) {
  if (repository == "T-Fixup") {
    if (!Flag(arguments, "Tfixup") || !Flag(arguments, "dont_use_layernorm")) throw CaseError("args.Tfixup is not set");
    return {"t_fixup", ""};
  }
  if (repository == kTorchscale) {
    if (Flag(arguments, "deepnorm")) return {"deepnet", "initialisation=torchscale"};
    if (Flag(arguments, "subln")) throw CaseError("config.subln is set: no scheme of ours does that");
    return {NormalisesBefore(arguments) ? "pre_ln" : "post_ln", ""};
  }
  if (repository == "dlcl") return {"dlcl", NormalisesBefore(arguments) ? "inner=pre_ln" : "inner=post_ln"};
  if (repository == "Transformer-Clinic") {
    const std::string kind = Text(arguments, "init_type");
    if (kind == "deepnet") return {"deepnet", ""};
    if (kind == "adaptive" || kind == "adaptive-profiling") return {"admin", ""};
    throw CaseError("args.init_type \"" + kind + "\" is unknown");
  }
  const bool speech = repository == kSpeechRepository;
  if (repository != "b2t_connection" && !speech) throw CaseError("repo \"" + repository + "\" is unknown");
  return AuthorsScheme(reference, arguments, speech);
}

std::string TaskOf(const std::string& repository, const json& arguments) {
  if (repository == kSpeechRepository) return "speech";
  if (repository == kTorchscale) return "translation";
  const std::string task = Argument<std::string>(arguments, "task");
  if (task == "translation") return task;
  if (task == "language_modeling") return "language_model";
  throw CaseError("args.task \"" + task + "\" is unknown");
}

std::vector<int64_t> MatrixShape(const Case& reference, const std::string& name) {
  const auto shape = reference.tensors.Has(name) ? reference.tensors.Shape(name) : std::vector<int64_t>();
  if (shape.size() != 2) throw CaseError(name + " is missing or no matrix");
  return shape;
}

void ReadSizes(const json& arguments, model::ModelConfig* config) {
  config->decoder_layers = Argument<int64_t>(arguments, "decoder_layers");
  config->dim = Argument<int64_t>(arguments, "decoder_embed_dim");
  config->ffn_dim = Argument<int64_t>(arguments, "decoder_ffn_embed_dim");
  config->heads = Argument<int64_t>(arguments, "decoder_attention_heads");
  config->encoder_layers = 0;
  if (config->task == "language_model") return;
  config->encoder_layers = Argument<int64_t>(arguments, "encoder_layers");
  for (const auto& [key, value] : {std::pair("encoder_embed_dim", config->dim),
                                   {"encoder_ffn_embed_dim", config->ffn_dim},
                                   {"encoder_attention_heads", config->heads}}) {
    if (Argument<int64_t>(arguments, key) != value)
      throw CaseError(std::string("args.") + key + " differs between the stacks");
  }
}

// "20,40", or the same as a list.
std::string Cutoffs(const json& arguments, const std::string& key) {
  if (!arguments.contains(key) || !arguments[key].is_array()) return Argument<std::string>(arguments, key);
  std::string text;
  for (const auto& cutoff : Argument<std::vector<int64_t>>(arguments, key))
    text += (text.empty() ? "" : ",") + std::to_string(cutoff);
  return text;
}

void ReadLanguageModel(const Case& reference, const json& arguments, model::ModelConfig* config) {
  const std::string table = "param.decoder.embed_tokens";
  config->share_embeddings = model::DescribeTask(config->task).share_embeddings.at(0);
  if (!Flag(arguments, "adaptive_input")) {
    config->vocabulary = MatrixShape(reference, table + ".weight")[0];
    return;
  }
  const std::string cutoffs = Cutoffs(arguments, "adaptive_input_cutoff");
  if (Cutoffs(arguments, "adaptive_softmax_cutoff") != cutoffs ||
      Argument<int64_t>(arguments, "adaptive_input_factor") !=
          Argument<int64_t>(arguments, "adaptive_softmax_factor") ||
      !Flag(arguments, "tie_adaptive_weights") || !Flag(arguments, "tie_adaptive_proj")) {
    throw CaseError("args have an adaptive softmax that is not tied to the input: no task of ours does that");
  }
  config->adaptive_cutoffs = model::ParseCutoffs(cutoffs);
  config->adaptive_factor = Argument<int64_t>(arguments, "adaptive_input_factor");
  config->vocabulary = 0;
  for (size_t band = 0; band <= config->adaptive_cutoffs.size(); ++band) {
    config->vocabulary += MatrixShape(reference, table + ".embeddings." + std::to_string(band) + ".0.weight")[0];
  }
}

model::ModelConfig ConfigOf(const Case& reference, const json& arguments, const std::string& task,
                            const Scheme& scheme) {
  model::ModelConfig config{.task = task, .scheme = scheme.name, .scheme_options = scheme.options};
  ReadSizes(arguments, &config);
  if (task == "language_model") {
    ReadLanguageModel(reference, arguments, &config);
  } else {
    const char* table = task == "speech" ? "param.decoder.embed_tokens.weight" : "param.encoder.embed_tokens.weight";
    config.vocabulary = MatrixShape(reference, table)[0];
    config.share_embeddings = Flag(arguments, "share_all_embeddings")                         ? "all"
                              : Argument<bool>(arguments, "share_decoder_input_output_embed") ? "decoder"
                                                                                              : "none";
  }
  if (task == "speech") {
    config.convolution_channels = Argument<int64_t>(arguments, "conv_channels");
    config.feature_bins = Argument<int64_t>(arguments, "input_feat_per_channel");
    if (Argument<std::string>(arguments, "conv_kernel_sizes") != "5,5")
      throw CaseError("args.conv_kernel_sizes is not 5,5");
    config.smooth_over_others = true;  // since fairseq 0.12
  }
  for (const auto& [facts, key] :
       {std::pair(&reference.facts, "vocab"), {&arguments, "vocab_size"}, {&arguments, "tgt_dict_size"}}) {
    if (facts->contains(key) && Argument<int64_t>(*facts, key) != config.vocabulary) {
      throw CaseError(std::string(key) + " differs from the rows of the embedding");
    }
  }
  config.dropout = 0;
  config.label_smoothing =
      Argument<double>(reference.facts.contains("label_smoothing") ? reference.facts : arguments, "label_smoothing");
  if (task == "translation" && arguments.contains("label_smoothing") &&
      Argument<double>(arguments, "label_smoothing") != config.label_smoothing) {
    throw CaseError("label_smoothing differs from args.label_smoothing");
  }
  return config;
}

template <typename Names>
bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

Kind ReadKind(const Case& reference) {
  const auto repository = Argument<std::string>(reference.facts, "repo");
  const char* key = repository == kTorchscale ? "config" : "args";
  const json arguments = reference.facts.value(key, json());
  if (!arguments.is_object()) throw CaseError(std::string(key) + " is missing or no object");
  const Scheme scheme = SchemeOf(reference, repository, arguments);
  const std::string task = TaskOf(repository, arguments);
  if (!Contains(model::TaskNames(), task)) return {.skipped_because = "this build has no task \"" + task + "\""};
  if (!Contains(model::SchemeNames(), scheme.name))
    return {.skipped_because = "this build has no scheme \"" + scheme.name + "\""};
  return {.config = ConfigOf(reference, arguments, task, scheme)};
}

}  // namespace strata::golden
