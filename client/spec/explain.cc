#include "client/spec/explain.h"

#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "nlohmann/json.hpp"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using google::protobuf::FieldDescriptor;
using Json = nlohmann::ordered_json;

struct TopKey {
  const char* key;
  const char* meaning;
  const char* example;
};

constexpr TopKey kTopKeys[] = {
    {"experiment", "Name of the experiment: lower-case letters, digits and hyphens. The service adds a number to it.",
     "experiment: depth-by-scheme"},
    {"grid",
     "Axes. Any field may be one; their product makes the trials, the last axis varying fastest. An axis stands above "
     "a value "
     "that its section gives.",
     "grid: {scheme: [post_ln, b2t], depth: [3L-3L, 18L-18L], seed: [1]}"},
    {"include", "Cells added to the grid.", "include: [{scheme: b2t, depth: 50L-50L, model.rescale_init: true}]"},
    {"exclude", "Cells taken out of the grid: those that have all settings of an item.",
     "exclude: [{scheme: post_ln, depth: 18L-18L}]"},
    {"overrides", "Changes of some cells, in order: where all of `when` holds, `set` is applied.",
     "overrides: [{when: {scheme: t_fixup}, set: {train.warmup: 1}}]"},
    {"probe_only",
     "True: nothing is trained; each trial is one PROBE job, which measures gradients, similarities and variances by "
     "layer "
     "at initialisation, in seconds.",
     "probe_only: true"},
    {"extends",
     "Experiment to go on from. Cells that are done are not trained again; a trial that differs from one of its trials "
     "in "
     "train.updates alone, upwards, starts from that one's last checkpoint and ends in the same weights as a training "
     "of "
     "that length from the beginning.",
     "extends: depth-by-scheme-1"},
    {"priority", "Jobs of a higher priority come first, within one first come, first served. From -100 to 100; 0 is usual.",
     "priority: 10"}};

// The values of ExampleSpec that are not defaults.
const std::map<std::string, std::string>& ExampleValues() {
  static const auto* values = new std::map<std::string, std::string>{{"task.kind", "translation"},
                                                                     {"task.dataset", "debian-en-de"},
                                                                     {"model.dim", "64"},
                                                                     {"model.ffn_dim", "256"},
                                                                     {"model.heads", "4"},
                                                                     {"train.updates", "600"},
                                                                     {"train.max_tokens", "1024"},
                                                                     {"train.warmup", "400"},
                                                                     {"train.validate_every", "50"},
                                                                     {"evaluate[0].metric", "bleu"},
                                                                     {"evaluate[0].sentences", "200"}};
  return *values;
}

std::string Shorthand(const std::string& path) {
  if (path == "model.scheme" || path == "model.depth" || path == "train.seed") return path.substr(path.find('.') + 1);
  return "";
}

nlohmann::json Registered(const std::string& registry_json, const std::string& list) {
  const auto registry = nlohmann::json::parse(registry_json, nullptr, false);
  return registry.is_object() && registry.contains(list) ? registry[list] : nlohmann::json::array();
}

// A scheme's own options, each with what it takes.
std::string ExplainOptions(const nlohmann::json& options) {
  if (options.empty()) return "";
  std::string text = "\n  Options of its own, under model: {scheme_options: {NAME: VALUE}}:\n";
  for (const auto& option : options) {
    const std::string takes =
        option.contains("choices")
            ? absl::StrCat("one of ", absl::StrJoin(option["choices"].get<std::vector<std::string>>(), ", "))
            : absl::StrFormat("%g to %g", option.value("min", 0.0), option.value("max", 0.0));
    absl::StrAppend(&text, absl::StrFormat("  %-14s %s (%s; default %s)\n", option.value("name", ""),
                                           option.value("summary", ""), takes, option.value("default", "")));
  }
  return text;
}

// The options of every scheme that has some.
std::string ExplainSchemeOptions(const std::string& registry_json) {
  std::string text;
  for (const auto& scheme : Registered(registry_json, "schemes")) {
    if (!scheme.contains("options") || !scheme["options"].is_array() || scheme["options"].empty()) continue;
    absl::StrAppend(&text, "\n", scheme.value("name", ""), ExplainOptions(scheme["options"]));
  }
  return text;
}

std::string ExplainField(const base::Field& field, const std::string& registry_json) {
  std::string text = absl::StrCat(field.path, "\n  ", base::CommentOf(field.descriptor->full_name()), "\n\n");
  absl::StrAppend(&text, "  takes     ", base::Accepts(field), "\n");
  const bool empty = field.rule->has_default_value() && field.rule->default_value().empty();
  absl::StrAppend(&text, "  default   ",
                  empty                             ? "empty"
                  : field.rule->has_default_value() ? field.rule->default_value()
                                                    : "none: required",
                  "\n");
  const std::string& value =
      field.rule->has_default_value() && !empty ? field.rule->default_value() : field.rule->example();
  absl::StrAppend(&text, "  in YAML   ", field.section, ": ", field.item < 0 ? "" : "[", "{", field.descriptor->name(),
                  ": ", value, "}", field.item < 0 ? "" : "]", "\n");
  const std::string brief = Shorthand(field.path);
  absl::StrAppend(&text, "  as axis   grid: {", brief.empty() ? field.path : brief, ": [", value, ", ...]}\n");
  absl::StrAppend(&text, "  for all   --set ", brief.empty() ? field.path : brief, "=", value, "\n");
  if (!field.rule->tasks().empty())
    absl::StrAppend(&text, "  of        ", absl::StrJoin(field.rule->tasks(), ", "), " only\n");
  if (field.path == "model.scheme_options") absl::StrAppend(&text, ExplainSchemeOptions(registry_json));
  if (field.rule->registry().empty()) return text;
  const auto entries = Registered(registry_json, field.rule->registry());
  if (entries.empty()) return text;
  absl::StrAppend(&text, "\n  ", field.rule->registry(), ":\n");
  for (const auto& entry : entries) {
    absl::StrAppend(&text, absl::StrFormat("  %-14s %s\n", entry.value("name", ""), entry.value("summary", "")));
  }
  return text;
}

// One of the registry's entries: "b2t", "bleu".
std::string ExplainRegistered(const nlohmann::json& entry, const std::string& list) {
  std::string text =
      absl::StrCat(entry.value("name", ""), " (one of the ", list, ")\n  ", entry.value("summary", ""), "\n");
  for (const auto& [key, value] : entry.items()) {
    if (key == "name" || key == "summary" || (key == "options" && value.is_array())) continue;
    std::string shown = value.is_string() ? value.get<std::string>() : value.dump();
    if (value.is_array() && !value.empty() && value[0].is_string())
      shown = absl::StrJoin(value.get<std::vector<std::string>>(), ", ");
    absl::StrAppend(&text, absl::StrFormat("  %-18s %s\n", key, shown));
  }
  if (entry.contains("options") && entry["options"].is_array())
    absl::StrAppend(&text, ExplainOptions(entry["options"]));
  return text;
}

std::string ExplainSection(const FieldDescriptor* section) {
  std::string text = absl::StrCat(section->name(), section->is_repeated() ? " (a list)" : "", "\n  ",
                                  base::CommentOf(section->full_name()), "\n\n");
  for (const base::Field& field : base::AllFields()) {
    if (field.section != section->name()) continue;
    const std::string standing =
        field.rule->has_default_value() ? absl::StrCat("[", field.rule->default_value(), "]") : "required";
    absl::StrAppend(&text, absl::StrFormat("  %-28s %-14s %s\n", field.descriptor->name(), standing,
                                           base::CommentOf(field.descriptor->full_name())));
  }
  return text;
}

std::string ExplainAll() {
  std::string text = "Keys of a spec. 'strata spec explain KEY' says more of one.\n\n";
  for (const TopKey& key : kTopKeys) absl::StrAppend(&text, absl::StrFormat("%s\n  %s\n\n", key.key, key.meaning));
  for (int i = 0; i < v1::TrialSpec::descriptor()->field_count(); ++i) {
    absl::StrAppend(&text, ExplainSection(v1::TrialSpec::descriptor()->field(i)), "\n");
  }
  return text;
}

Json FieldSchema(const base::Field& field, const std::string& registry_json) {
  Json schema;
  schema["description"] = base::CommentOf(field.descriptor->full_name());
  const v1::FieldRule& rule = *field.rule;
  switch (field.descriptor->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      schema["type"] = "integer";
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      schema["type"] = "number";
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      schema["type"] = "boolean";
      break;
    default:
      schema["type"] = "string";
  }
  if (rule.has_min()) schema[rule.above_min() ? "exclusiveMinimum" : "minimum"] = rule.min();
  if (rule.has_max()) schema[rule.below_max() ? "exclusiveMaximum" : "maximum"] = rule.max();
  if (rule.form() == "pairs") {
    schema["type"] = {"string", "object"};
    schema["additionalProperties"] = {{"type", {"string", "number"}}};
  }
  if (field.path == "model.depth") schema["pattern"] = "^[1-9][0-9]*L(-[1-9][0-9]*L)?$";
  if (!rule.choices().empty()) schema["enum"] = std::vector<std::string>(rule.choices().begin(), rule.choices().end());
  const std::vector<std::string> names =
      rule.registry().empty() ? std::vector<std::string>() : base::RegisteredNames(registry_json, rule.registry());
  if (!names.empty()) schema["enum"] = names;
  if (rule.has_default_value()) {
    const Json value = Json::parse(rule.default_value(), nullptr, false);
    const bool text = field.descriptor->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
    schema["default"] = text || value.is_discarded() ? Json(rule.default_value()) : value;
  }
  return schema;
}

Json Closed(const std::string& description) {
  Json schema;
  schema["type"] = "object";
  if (!description.empty()) schema["description"] = description;
  schema["additionalProperties"] = false;
  schema["properties"] = Json::object();
  return schema;
}

// Paths as keys: values (a cell), or lists of them (axes).
Json PathsSchema(const std::string& description, const std::string& registry_json, bool lists) {
  Json schema = Closed(description);
  for (const base::Field& field : base::AllFields()) {
    const Json value = FieldSchema(field, registry_json);
    const Json entry =
        lists ? Json{{"type", "array"}, {"minItems", 1}, {"uniqueItems", true}, {"items", value}} : value;
    if (const std::string brief = Shorthand(field.path); !brief.empty()) schema["properties"][brief] = entry;
    schema["properties"][field.path] = entry;
  }
  if (lists) schema["patternProperties"] = {{"^evaluate\\[[0-9]+\\]\\.", {{"type", "array"}}}};
  return schema;
}

Json List(const Json& items) { return {{"type", "array"}, {"items", items}}; }

// As it stands in a file.
std::string DefaultInYaml(const v1::FieldRule& rule) {
  return rule.has_default_value() && rule.default_value().empty() ? "\"\"" : rule.default_value();
}

}  // namespace

absl::StatusOr<std::string> ExplainKey(const std::string& key, const std::string& registry_json) {
  if (key.empty()) return ExplainAll();
  for (const TopKey& top : kTopKeys) {
    if (key == top.key) return absl::StrCat(top.key, "\n  ", top.meaning, "\n\n  ", top.example, "\n");
  }
  if (const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(key))
    return ExplainSection(section);
  const auto field = base::FindField(key);
  if (field.ok()) return ExplainField(*field, registry_json);
  for (const base::Field& candidate : base::AllFields()) {  // "evaluate.beam", "beam"
    const std::string name = candidate.descriptor->name();
    if (key == name || key == absl::StrCat(candidate.section, ".", name)) return ExplainField(candidate, registry_json);
  }
  std::vector<std::string> names;
  for (const char* list : {"schemes", "tasks", "metrics", "options"}) {
    for (const auto& entry : Registered(registry_json, list)) {
      if (entry.value("name", "") == key) return ExplainRegistered(entry, list);
      names.push_back(entry.value("name", ""));
    }
  }
  const std::string nearest = base::Nearest(key, names);
  if (!nearest.empty())
    return absl::InvalidArgumentError(absl::StrCat("There is no key \"", key, "\". Do you mean ", nearest, "?"));
  return field.status();
}

std::string JsonSchema(const std::string& registry_json) {
  Json schema = Closed("A grid of trainings, as 'strata submit' takes it.");
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["title"] = "Strata experiment";
  Json& properties = schema["properties"];
  properties["experiment"] = {
      {"type", "string"}, {"description", kTopKeys[0].meaning}, {"pattern", "^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$"}};
  for (int i = 0; i < v1::TrialSpec::descriptor()->field_count(); ++i) {
    const FieldDescriptor* section = v1::TrialSpec::descriptor()->field(i);
    Json fields = Closed(base::CommentOf(section->full_name()));
    for (const base::Field& field : base::AllFields()) {
      if (field.section == section->name())
        fields["properties"][field.descriptor->name()] = FieldSchema(field, registry_json);
    }
    if (section->is_repeated()) fields["required"] = {"metric"};
    properties[section->name()] = section->is_repeated()
                                      ? Json{{"type", "array"}, {"maxItems", base::kMaxEvaluations}, {"items", fields}}
                                      : fields;
  }
  properties["grid"] = PathsSchema(kTopKeys[1].meaning, registry_json, /*lists=*/true);
  const Json cell = PathsSchema("", registry_json, /*lists=*/false);
  properties["include"] = List(cell);
  properties["exclude"] = List(cell);
  Json change = Closed(kTopKeys[4].meaning);
  change["properties"] = {{"when", cell}, {"set", cell}};
  change["required"] = {"set"};
  properties["overrides"] = List(change);
  properties["probe_only"] = {{"type", "boolean"}, {"description", kTopKeys[5].meaning}, {"default", false}};
  properties["extends"] = {{"type", "string"}, {"description", kTopKeys[6].meaning}};
  properties["priority"] = {
      {"type", "integer"}, {"description", kTopKeys[7].meaning}, {"minimum", -100}, {"maximum", 100}, {"default", 0}};
  const Json bound = {{"type", "integer"}, {"minimum", 1}, {"maximum", 1024}};
  Json bounds = Closed("Fewest and most ranks of an elastic training.");
  bounds["properties"] = {{"min", bound}, {"max", bound}};
  bounds["required"] = {"min", "max"};
  Json& ranks = properties["resources"]["properties"]["ranks"];
  ranks = {{"anyOf", Json::array({ranks, bounds})}};
  schema["required"] = {"experiment"};
  return schema.dump(2) + "\n";
}

std::string ExampleSpec() {
  std::string text =
      "# A grid of trainings. Submit it with 'strata submit FILE'; 'strata spec explain KEY' says more of a key.\n"
      "# Lines that begin with '#' show defaults: take the '#' away to change one.\n\n"
      "# Name of the experiment; the service adds a number to it.\nexperiment: depth-by-scheme\n";
  std::string section;
  for (const base::Field& field : base::AllFields()) {
    if (!Shorthand(field.path).empty()) continue;  // axes below
    if (field.section != section) {
      section = field.section;
      const FieldDescriptor* descriptor = v1::TrialSpec::descriptor()->FindFieldByName(section);
      const auto& values = ExampleValues();
      const bool given =
          values.lower_bound(section) != values.end() && values.lower_bound(section)->first.rfind(section, 0) == 0;
      absl::StrAppend(&text, "\n# ", base::CommentOf(descriptor->full_name()), "\n", given ? "" : "# ", section, ":\n");
    }
    const auto value = ExampleValues().find(field.path);
    const bool given = value != ExampleValues().end();
    const bool first_item = field.item == 0 && field.descriptor->number() == 1;
    const std::string line =
        absl::StrCat(given ? "" : "# ",
                     field.item < 0 ? "  "
                     : first_item   ? "  - "
                                    : "    ",
                     field.descriptor->name(), ": ", given ? value->second : DefaultInYaml(*field.rule));
    absl::StrAppend(&text, absl::StrFormat("%-40s # %s\n", line, base::CommentOf(field.descriptor->full_name())));
  }
  absl::StrAppend(
      &text,
      "\n# Axes: their product makes the trials, the last varying fastest. Any field may be one, by its path:\n"
      "# train.learning_rate: [5e-4, 1e-3].\ngrid:\n  scheme: [post_ln, pre_ln, b2t]\n  depth: [3L-3L, 18L-18L]\n  "
      "seed: [1]\n\n"
      "# Cells added to the grid and taken out of it, and changes of some:\n"
      "# include: [{scheme: b2t, depth: 50L-50L, seed: 1, model.rescale_init: true}]\n# exclude: [{scheme: post_ln, "
      "depth: 18L-18L}]\n"
      "# overrides: [{when: {depth: 18L-18L}, set: {train.warmup: 800}}]\n\n"
      "# Measure at initialisation only (seconds a trial), or go on from an experiment's trainings:\n"
      "# probe_only: true\n# extends: depth-by-scheme-1\n\n"
      "# Jobs of a higher priority come first:\n# priority: 10\n");
  return text;
}

}  // namespace strata::client
