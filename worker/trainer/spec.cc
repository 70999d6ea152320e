#include "worker/trainer/spec.h"

#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <variant>

#include "model/data/file.h"
#include "worker/trainer/failure.h"

namespace strata::trainer {
namespace {

using nlohmann::json;

// One field: its name, where it stands, and what it may hold (the proto's rules).
struct Field {
  std::string name;
  std::variant<std::string*, int64_t*, double*, bool*> value;
  double min = -std::numeric_limits<double>::infinity(), max = std::numeric_limits<double>::infinity();
  bool min_excluded = false, max_excluded = false;
  std::vector<std::string> choices = {};
  bool is_64_bit = false;
};
using Fields = std::vector<Field>;

Field Text(std::string name, std::string& value, std::vector<std::string> choices = {}) {
  return {.name = std::move(name), .value = &value, .choices = std::move(choices)};
}
Field Integer(std::string name, int64_t& value, double min, double max) {
  return {.name = std::move(name), .value = &value, .min = min, .max = max};
}
Field Real(std::string name, double& value, double min, double max) {
  return {.name = std::move(name), .value = &value, .min = min, .max = max};
}
Field Rate(std::string name, double& value) {
  return {.name = std::move(name), .value = &value, .min = 0, .max = 1, .max_excluded = true};
}

Fields FieldsOf(TaskSpec& s) { return {Text("kind", s.kind), Text("dataset", s.dataset)}; }

Fields FieldsOf(ModelSpec& s) {
  return {Text("scheme", s.scheme),
          Text("depth", s.depth),
          Integer("dim", s.dim, 2, 16384),
          Integer("ffn_dim", s.ffn_dim, 1, 65536),
          Integer("heads", s.heads, 1, 256),
          Text("share_embeddings", s.share_embeddings, {"all", "decoder", "none"}),
          Rate("dropout", s.dropout),
          Rate("attention_dropout", s.attention_dropout),
          Rate("activation_dropout", s.activation_dropout),
          {.name = "rescale_init", .value = &s.rescale_init},
          {.name = "depth_scaled_init", .value = &s.depth_scaled_init},
          Text("scheme_options", s.scheme_options),
          Rate("word_dropout", s.word_dropout),
          Text("adaptive_cutoffs", s.adaptive_cutoffs),
          Integer("adaptive_factor", s.adaptive_factor, 1, 64),
          Rate("adaptive_softmax_dropout", s.adaptive_softmax_dropout),
          Integer("convolution_channels", s.convolution_channels, 2, 16384)};
}

Fields FieldsOf(TrainSpec& s) {
  return {Integer("updates", s.updates, 1, 1e8),
          Integer("max_tokens", s.max_tokens, 8, 1e6),
          Integer("max_sentences", s.max_sentences, 0, 1e6),
          Integer("update_frequency", s.update_frequency, 1, 4096),
          {.name = "learning_rate", .value = &s.learning_rate, .min = 0, .max = 1000, .min_excluded = true},
          Integer("warmup", s.warmup, 1, 1e8),
          Real("warmup_init_learning_rate", s.warmup_init_learning_rate, 0, 1000),
          Rate("adam_beta1", s.adam_beta1),
          Rate("adam_beta2", s.adam_beta2),
          Real("adam_epsilon", s.adam_epsilon, 0, 1),
          Real("weight_decay", s.weight_decay, 0, 1),
          Rate("label_smoothing", s.label_smoothing),
          Real("clip_norm", s.clip_norm, 0, 1e6),
          {.name = "seed", .value = &s.seed, .min = 0, .max = 9007199254740991, .is_64_bit = true},
          Integer("validate_every", s.validate_every, 1, 1e8),
          Integer("validation_sentences", s.validation_sentences, 0, 1e7),
          Integer("log_every", s.log_every, 1, 1e8),
          Integer("checkpoint_every", s.checkpoint_every, 0, 1e8),
          Integer("checkpoint_seconds", s.checkpoint_seconds, 1, 604800),
          Integer("keep_checkpoints", s.keep_checkpoints, 1, 1000),
          Text("on_divergence", s.on_divergence, {"stop", "continue"}),
          Integer("judge_after", s.judge_after, 0, 1e8),
          Integer("max_length", s.max_length, 0, 100000),
          Text("schedule", s.schedule, {"scheme", "inverse_sqrt", "inverse_sqrt_no_warmup"}),
          Integer("decay_offset", s.decay_offset, 1, 1e8),
          Text("smooth_over", s.smooth_over, {"vocabulary", "others"}),
          Text("validation_split", s.validation_split),
          Integer("keep_epoch_checkpoints", s.keep_epoch_checkpoints, 0, 1000),
          Integer("block_tokens", s.block_tokens, 2, 1e6),
          Integer("frequency_masks", s.frequency_masks, 0, 100),
          Integer("frequency_mask_bins", s.frequency_mask_bins, 0, 80),
          Integer("time_masks", s.time_masks, 0, 100),
          Integer("time_mask_frames", s.time_mask_frames, 0, 100000),
          Text("precision", s.precision, {"fp32", "bf16"})};
}

Fields FieldsOf(EvaluateSpec& s) {
  return {Text("metric", s.metric),
          Text("split", s.split),
          Integer("sentences", s.sentences, 0, 1e7),
          Integer("beam", s.beam, 1, 256),
          Real("length_penalty", s.length_penalty, -10, 10),
          Real("max_length_a", s.max_length_a, 0, 100),
          Integer("max_length_b", s.max_length_b, 1, 100000),
          Text("checkpoint", s.checkpoint, {"final", "best", "average"}),
          Integer("average_last", s.average_last, 1, 1000),
          Text("length_penalties", s.length_penalties),
          Integer("n_best", s.n_best, 1, 256),
          Integer("window_tokens", s.window_tokens, 0, 1e6),
          Integer("context_tokens", s.context_tokens, 0, 1e6),
          Text("precision", s.precision, {"fp32", "bf16"}),
          Integer("ranks", s.ranks, 1, 1024)};
}

Fields FieldsOf(DiagnosticsSpec& s) {
  return {Integer("gradient_norms_every", s.gradient_norms_every, 0, 1e8), Text("location_layers", s.location_layers),
          Integer("locations_every", s.locations_every, 0, 1e8), Integer("similarity_every", s.similarity_every, 0, 1e8),
          Integer("variances_every", s.variances_every, 0, 1e8)};
}

Fields FieldsOf(ResourcesSpec& s) {
  return {Integer("ranks", s.ranks, 1, 1024), Integer("threads", s.threads, 1, 256), Integer("min_ranks", s.min_ranks, 0, 1024),
          Integer("stall_seconds", s.stall_seconds, 0, 86400)};
}

[[noreturn]] void Refuse(const std::string& path, const std::string& what) {
  throw Failure(Cause::kBadSpec, path + " " + what);
}

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string Shown(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

void CheckRange(const Field& field, const std::string& path, double value) {
  const bool below = field.min_excluded ? value <= field.min : value < field.min;
  const bool above = field.max_excluded ? value >= field.max : value > field.max;
  if (!below && !above && !std::isnan(value)) return;
  std::string range = field.min_excluded ? "above " + Number(field.min) : "at least " + Number(field.min);
  range += field.max_excluded ? " and below " + Number(field.max) : " and at most " + Number(field.max);
  Refuse(path, "is " + Number(value) + ", but must be " + range + ".");
}

void Assign(const Field& field, const std::string& path, const json& from, std::string& value) {
  if (!from.is_string()) Refuse(path, "is " + Shown(from) + ", but must be text in quotes.");
  value = from.get<std::string>();
  if (field.choices.empty()) return;
  std::string all;
  for (const std::string& choice : field.choices) {
    if (choice == value) return;
    all += (all.empty() ? "" : ", ") + choice;
  }
  Refuse(path, "is \"" + value + "\". Choose one of: " + all + ".");
}

void Assign(const Field& field, const std::string& path, const json& from, int64_t& value) {
  if (from.is_string() && field.is_64_bit) {
    const auto& text = from.get_ref<const std::string&>();
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      Refuse(path, "is " + Shown(from) + ", but must be a whole number.");
  } else if (!from.is_number_integer()) {
    Refuse(path, "is " + Shown(from) + ", but must be a whole number.");
  } else if (from.is_number_unsigned() &&
             from.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    Refuse(path, "is " + Shown(from) + ", which is too large.");
  } else {
    value = from.get<int64_t>();
  }
  CheckRange(field, path, static_cast<double>(value));
}

void Assign(const Field& field, const std::string& path, const json& from, double& value) {
  if (from.is_number()) {
    value = from.get<double>();
  } else if (from == "NaN") {
    value = std::numeric_limits<double>::quiet_NaN();
  } else if (from == "Infinity" || from == "-Infinity") {
    value = std::numeric_limits<double>::infinity() * (from == "Infinity" ? 1 : -1);
  } else {
    Refuse(path, "is " + Shown(from) + ", but must be a number.");
  }
  CheckRange(field, path, value);
}

void Assign(const Field&, const std::string& path, const json& from, bool& value) {
  if (!from.is_boolean()) Refuse(path, "is " + Shown(from) + ", but must be true or false.");
  value = from.get<bool>();
}

void CheckObject(const json& object, const std::string& path) {
  if (!object.is_object()) Refuse(path.empty() ? "The spec" : path, "is " + Shown(object) + ", but must be an object.");
}

void CheckKeys(const json& object, const std::string& path, const std::vector<std::string>& keys) {
  CheckObject(object, path);
  const std::set<std::string> known(keys.begin(), keys.end());
  const std::string prefix = path.empty() ? "" : path + ".";
  for (const auto& [key, value] : object.items()) {
    if (!known.contains(key))
      Refuse(prefix + key, "is no field of a spec. Remove it; 'strata spec schema' lists the fields.");
  }
  for (const std::string& key : keys) {
    if (!object.contains(key)) Refuse(prefix + key, "is missing. A spec has every field written out, defaults too.");
  }
}

template <class Message>
void Parse(const json& object, const std::string& path, Message& message) {
  const Fields fields = FieldsOf(message);
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  CheckKeys(object, path, names);
  for (const Field& field : fields) {
    std::visit([&](auto* value) { Assign(field, path + "." + field.name, object.at(field.name), *value); },
               field.value);
  }
}

template <class Message>
void AddLines(const std::string& path, const Message& message, std::vector<std::string>& lines) {
  for (const Field& field : FieldsOf(const_cast<Message&>(message))) {
    std::string line = path + "." + field.name + "=";
    if (const auto* text = std::get_if<std::string*>(&field.value)) line += **text;
    if (const auto* whole = std::get_if<int64_t*>(&field.value)) line += std::to_string(**whole);
    if (const auto* real = std::get_if<double*>(&field.value)) line += Number(**real);
    if (const auto* flag = std::get_if<bool*>(&field.value)) line += **flag ? "true" : "false";
    lines.push_back(std::move(line));
  }
}

}  // namespace

TrialSpec ParseSpec(const json& document) {
  CheckKeys(document, "", {"task", "model", "train", "evaluate", "diagnostics", "resources"});
  TrialSpec spec;
  Parse(document.at("task"), "task", spec.task);
  Parse(document.at("model"), "model", spec.model);
  Parse(document.at("train"), "train", spec.train);
  const json& evaluations = document.at("evaluate");
  if (!evaluations.is_array()) Refuse("evaluate", "is " + Shown(evaluations) + ", but must be a list.");
  for (size_t i = 0; i < evaluations.size(); ++i) {
    Parse(evaluations[i], "evaluate[" + std::to_string(i) + "]", spec.evaluate.emplace_back());
  }
  Parse(document.at("diagnostics"), "diagnostics", spec.diagnostics);
  Parse(document.at("resources"), "resources", spec.resources);
  return spec;
}

TrialSpec ReadSpec(const std::string& file) {
  std::string text;
  try {
    text = model::ReadFile(file);
  } catch (const std::exception& error) {
    throw Failure(Cause::kBadSpec, error.what());
  }
  try {
    return ParseSpec(json::parse(text));
  } catch (const json::exception& error) {
    throw Failure(Cause::kBadSpec, file + " is no JSON: " + error.what());
  } catch (const Failure& failure) {
    throw Failure(failure.cause(), file + ": " + failure.what());
  }
}

std::vector<std::string> SpecLines(const TrialSpec& spec) {
  std::vector<std::string> lines;
  AddLines("task", spec.task, lines);
  AddLines("model", spec.model, lines);
  AddLines("train", spec.train, lines);
  for (size_t i = 0; i < spec.evaluate.size(); ++i)
    AddLines("evaluate[" + std::to_string(i) + "]", spec.evaluate[i], lines);
  AddLines("diagnostics", spec.diagnostics, lines);
  AddLines("resources", spec.resources, lines);
  return lines;
}

int64_t BatchesPerUpdate(const TrialSpec& spec) { return spec.train.update_frequency * spec.resources.ranks; }

std::vector<std::string> TrainingLines(const TrialSpec& spec) {
  std::vector<std::string> all, lines;
  AddLines("task", spec.task, all);
  AddLines("model", spec.model, all);
  AddLines("train", spec.train, all);
  for (std::string& line : all) {
    if (line.starts_with("train.update_frequency="))
      line = std::string(kBatchesPerUpdate) + "=" + std::to_string(BatchesPerUpdate(spec));
    if (!line.starts_with("train.updates=") && !line.starts_with("train.checkpoint_") && !line.starts_with("train.keep_") &&
        !line.starts_with("task.dataset=")) {
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::vector<std::string> DefaultTrainingLines() {
  std::vector<std::string> lines = TrainingLines(TrialSpec{});
  for (const char* without : {"task.kind=", "model.scheme=", "model.depth="}) std::erase(lines, without);
  return lines;
}

}  // namespace strata::trainer
