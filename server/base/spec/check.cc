#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/check_details.h"
#include "server/base/spec/spec.h"
#include "server/base/spec/text.h"

namespace strata::base {
namespace {

constexpr int kMaxLayers = 10000;

absl::Status NoDepth(const std::string& text) {
  return absl::InvalidArgumentError(absl::StrCat(
      "depth: ", Quoted(text), " is no depth. Write encoder and decoder layers as 18L-18L, or one stack as 16L."));
}

// Reads "18L". 0 where it is no number of layers.
int ReadLayers(const std::string& text) {
  int layers = 0;
  if (text.size() < 2 || text.back() != 'L' || text[0] < '0' || text[0] > '9') return -1;
  if (text.find_first_not_of("0123456789") != text.size() - 1) return -1;
  if (!absl::SimpleAtoi(text.substr(0, text.size() - 1), &layers)) return kMaxLayers + 1;
  return layers;
}

// The registry's entry of that name, or null.
nlohmann::json Entry(const nlohmann::json& registry, const std::string& list, const std::string& name) {
  if (!registry.contains(list)) return nullptr;
  for (const auto& entry : registry[list]) {
    if (entry.value("name", "") == name) return entry;
  }
  return nullptr;
}

// True unless the entry lists names under `key` and `name` is not among them.
bool Takes(const nlohmann::json& entry, const std::string& key, const std::string& name) {
  if (!entry.is_object() || !entry.contains(key) || !entry[key].is_array() || entry[key].empty()) return true;
  return std::find(entry[key].begin(), entry[key].end(), name) != entry[key].end();
}

// The list of strings under `key`, for a sentence.
std::string Listed(const nlohmann::json& entry, const std::string& key) {
  return absl::StrJoin(entry[key].get<std::vector<std::string>>(), ", ");
}

// What the registry says of task, scheme, depth, embeddings and metrics together.
absl::Status CheckCombination(const v1::TrialSpec& spec, const nlohmann::json& registry) {
  const std::string& kind = spec.task().kind();
  const nlohmann::json task = Entry(registry, "tasks", kind);
  const nlohmann::json scheme = Entry(registry, "schemes", spec.model().scheme());
  if (!Takes(scheme, "tasks", kind)) {
    return absl::InvalidArgumentError(absl::StrCat("model.scheme: ", spec.model().scheme(),
                                                   " cannot be used with task ", kind, ". It takes ",
                                                   Listed(scheme, "tasks"), "."));
  }
  if (!Takes(task, "share_embeddings", spec.model().share_embeddings())) {
    return absl::InvalidArgumentError(absl::StrCat("model.share_embeddings: ", spec.model().share_embeddings(),
                                                   " cannot be used with task ", kind, ". Write one of ",
                                                   Listed(task, "share_embeddings"), "."));
  }
  for (int i = 0; i < spec.evaluate_size(); ++i) {
    const std::string& name = spec.evaluate(i).metric();
    const nlohmann::json metric = Entry(registry, "metrics", name);
    if (!Takes(metric, "tasks", kind)) {
      return absl::InvalidArgumentError(absl::StrCat("evaluate[", i, "].metric: ", name, " does not score task ", kind,
                                                     ". It scores ", Listed(metric, "tasks"), "."));
    }
  }
  const Layers layers = *ParseDepth(spec.model().depth());
  const std::string form = task.is_object() && task.contains("depth") && task["depth"].is_string() ? task["depth"] : "";
  if (form.find('-') != std::string::npos && layers.encoder == 0) {
    return absl::InvalidArgumentError(absl::StrCat("depth: ", Quoted(spec.model().depth()),
                                                   " has no encoder, but task ", kind,
                                                   " needs one. Write encoder and decoder layers as 18L-18L."));
  }
  if (!form.empty() && form.find('-') == std::string::npos && layers.encoder > 0) {
    return absl::InvalidArgumentError(absl::StrCat("depth: ", Quoted(spec.model().depth()),
                                                   " has an encoder, but task ", kind,
                                                   " is a decoder only. Write one stack as 16L."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Layers> ParseDepth(const std::string& text) {
  const size_t dash = text.find('-');
  const int first = ReadLayers(text.substr(0, dash));
  const int second = dash == std::string::npos ? 1 : ReadLayers(text.substr(dash + 1));
  if (first < 0 || second < 0) return NoDepth(text);
  if (first == 0 || second == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "depth: ", Quoted(text), " has a stack of no layers. A stack has at least one layer, as in 1L-1L."));
  }
  if (first > kMaxLayers || second > kMaxLayers) {
    return absl::InvalidArgumentError(
        absl::StrCat("depth: ", Quoted(text), " is too deep. A stack has at most ", kMaxLayers, " layers."));
  }
  return dash == std::string::npos ? Layers{0, first} : Layers{first, second};
}

absl::Status CheckRegisteredName(const Field& field, const std::string& value, const std::string& registry_json) {
  if (field.rule->registry().empty() || registry_json.empty()) return absl::OkStatus();
  const std::vector<std::string> names = RegisteredNames(registry_json, field.rule->registry());
  if (std::find(names.begin(), names.end(), value) != names.end()) return absl::OkStatus();
  const std::string nearest = Nearest(value, names);
  return absl::InvalidArgumentError(absl::StrCat(field.path, ": ", Quoted(value), " is none of the trainer's ",
                                                 field.rule->registry(), ". ",
                                                 nearest.empty() ? "" : absl::StrCat("Do you mean ", nearest, "? "),
                                                 "There are ", absl::StrJoin(names, ", "), "."));
}

absl::Status ValidateFields(const v1::TrialSpec& spec, const std::string& registry_json) {
  if (spec.evaluate_size() > kMaxEvaluations) {
    return absl::InvalidArgumentError(
        absl::StrCat("evaluate has ", spec.evaluate_size(), " items. Write at most ", kMaxEvaluations, "."));
  }
  v1::TrialSpec scratch = spec;
  for (const Field& of_first : AllFields()) {
    const int items = of_first.item < 0 ? 1 : spec.evaluate_size();
    for (int item = 0; item < items; ++item) {
      const std::string path = of_first.item < 0
                                   ? of_first.path
                                   : absl::StrCat(of_first.section, "[", item, "].", of_first.descriptor->name());
      const std::string text = *GetField(spec, path);
      if (text.empty() && !(of_first.rule->has_default_value() && of_first.rule->default_value().empty()))
        return absl::InvalidArgumentError(
            absl::StrCat(path, " is not given. Write for example ", of_first.rule->example(), "."));
      if (const absl::Status status = SetField(scratch, path, text); !status.ok()) return status;
      const absl::Status registered = CheckRegisteredName(*FindField(path), text, registry_json);
      if (!registered.ok()) return registered;
    }
  }
  if (const auto layers = ParseDepth(spec.model().depth()); !layers.ok()) return layers.status();
  const v1::ModelSpec& model = spec.model();
  if (model.dim() % model.heads() != 0 || model.dim() % 2 != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("model.dim is ", model.dim(), " but model.heads is ", model.heads(),
                     ". The width must be even and a multiple of the heads: change one of them."));
  }
  if (spec.train().warmup_init_learning_rate() > spec.train().learning_rate()) {
    return absl::InvalidArgumentError(
        absl::StrCat("train.warmup_init_learning_rate is ", ShortestNumber(spec.train().warmup_init_learning_rate()),
                     ", above train.learning_rate ", ShortestNumber(spec.train().learning_rate()),
                     ": the rate would fall in the warm-up. Lower the one or raise the other."));
  }
  const nlohmann::json registry = nlohmann::json::parse(registry_json, nullptr, false);
  if (!registry.is_object()) return CheckDetails(spec, nullptr);
  if (const absl::Status status = CheckCombination(spec, registry); !status.ok()) return status;
  return CheckDetails(spec, Entry(registry, "schemes", spec.model().scheme()));
}

}  // namespace strata::base
