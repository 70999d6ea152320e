#include "client/spec/read_spec.h"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/spec/head.h"
#include "client/spec/ranks.h"
#include "client/spec/yaml_node.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using google::protobuf::FieldDescriptor;

const std::vector<std::string> kTopLevel = {"experiment", "grid",       "include", "exclude",
                                            "overrides",  "probe_only", "extends", "priority"};

class Reader {
 public:
  Reader(std::string file_name, std::string registry_json, v1::ExperimentSpec spec = {})
      : file_(std::move(file_name)), registry_json_(std::move(registry_json)), spec_(std::move(spec)) {}

  absl::Status Read(const YAML::Node& root) {
    if (root.IsNull())
      return absl::InvalidArgumentError(
          absl::StrCat(file_.name(), ": the file is empty. 'strata spec init' prints an example."));
    auto entries = file_.Map(root, "an experiment", "experiment: my-grid");
    if (!entries.ok()) return entries.status();
    for (const MapEntry& entry : *entries) {
      if (const absl::Status status = TopLevel(entry); !status.ok()) return status;
    }
    if (spec_.experiment().empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file_.name(), ": experiment is missing. Name it, for example experiment: depth-by-scheme."));
    }
    return absl::OkStatus();
  }

  absl::Status Set(const std::string& setting);
  absl::Status CheckComplete(const std::string& file_name) const;
  const v1::ExperimentSpec& spec() const { return spec_; }

 private:
  absl::Status TopLevel(const MapEntry& entry);
  absl::Status Section(const FieldDescriptor* section, const YAML::Node& node, const std::string& path);
  absl::Status Evaluate(const FieldDescriptor* section, const YAML::Node& node);
  absl::Status Grid(const YAML::Node& node);
  absl::Status AddAxis(const std::string& key, const YAML::Node& node);
  absl::Status Cells(const std::string& key, const YAML::Node& node);
  absl::Status Overrides(const YAML::Node& node);
  template <typename Settings>
  absl::Status ReadSettings(const YAML::Node& node, const std::string& what, Settings* settings);
  using PathsAndValues = std::vector<std::pair<std::string, std::string>>;
  absl::StatusOr<PathsAndValues> Values(const base::Field& field, const YAML::Node& node);  // most set one field
  absl::StatusOr<std::vector<v1::Setting>> ReadSetting(const MapEntry& entry);
  absl::StatusOr<std::string> Value(const base::Field& field, const YAML::Node& node);
  absl::StatusOr<std::string> Pairs(const base::Field& field, const YAML::Node& node);
  absl::Status UnknownIn(const MapEntry& entry, const FieldDescriptor* section);
  absl::Status At(const YAML::Node& node, const std::string& message) const { return file_.At(node, message); }

  YamlFile file_;  // names what is being read: the file, then each --set
  std::string registry_json_;
  v1::ExperimentSpec spec_;
};

// A map as the text NAME=VALUE, ...
absl::StatusOr<std::string> Reader::Pairs(const base::Field& field, const YAML::Node& node) {
  auto entries = file_.Map(node, field.path, field.rule->example());
  if (!entries.ok()) return entries.status();
  std::vector<std::string> pairs;
  for (const MapEntry& entry : *entries) {
    if (!entry.value.IsScalar())
      return At(entry.value, absl::StrCat(field.path, ": ", entry.key, " is one value, not a list or a map."));
    pairs.push_back(absl::StrCat(entry.key, "=", entry.value.Scalar()));
  }
  return absl::StrJoin(pairs, ",");
}

// The value as canonical text, checked by the rule of its field.
absl::StatusOr<std::string> Reader::Value(const base::Field& field, const YAML::Node& node) {
  if (node.IsNull()) return At(node, absl::StrCat(field.path, " has no value. Write ", base::Accepts(field), "."));
  const bool map_of_pairs = node.IsMap() && field.rule->form() == "pairs";
  if (!node.IsScalar() && !map_of_pairs) {
    return At(node, absl::StrCat(field.path, " is one value, not ", node.IsSequence() ? "a list" : "a map", ". Write ",
                                 base::Accepts(field), node.IsSequence() ? "; values to try stand under grid." : "."));
  }
  const bool is_text = field.descriptor->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
  if (!is_text && node.Tag() == "!") {
    return At(node, absl::StrCat(field.path, ": \"", node.Scalar(), "\" is a text, because it is in quotes. Write ",
                                 base::Accepts(field), " without them."));
  }
  const absl::StatusOr<std::string> text = map_of_pairs ? Pairs(field, node) : node.Scalar();
  if (!text.ok()) return text.status();
  v1::TrialSpec scratch;
  for (int i = 0; i <= field.item; ++i) scratch.add_evaluate();
  if (const absl::Status status = base::SetField(scratch, field.path, *text); !status.ok()) {
    return At(node, std::string(status.message()));
  }
  if (field.path == "model.depth") {
    if (const auto layers = base::ParseDepth(node.Scalar()); !layers.ok())
      return At(node, std::string(layers.status().message()));
  }
  if (const absl::Status status = base::CheckRegisteredName(field, *text, registry_json_); !status.ok()) {
    return At(node, std::string(status.message()));
  }
  return *base::GetField(scratch, field.path);
}

absl::StatusOr<Reader::PathsAndValues> Reader::Values(const base::Field& field, const YAML::Node& node) {
  if (IsRankBounds(field, node)) return ReadRankBounds(file_, node);
  auto value = Value(field, node);
  if (!value.ok()) return value.status();
  return PathsAndValues{{field.path, *std::move(value)}};
}

absl::Status Reader::TopLevel(const MapEntry& entry) {
  if (entry.key == "experiment") return ReadExperimentName(file_, entry.value, spec_);
  if (entry.key == "grid") return Grid(entry.value);
  if (entry.key == "include" || entry.key == "exclude") return Cells(entry.key, entry.value);
  if (entry.key == "overrides") return Overrides(entry.value);
  if (entry.key == "probe_only") return ReadProbeOnly(file_, entry.value, spec_);
  if (entry.key == "extends") return ReadExtends(file_, entry.value, spec_);
  if (entry.key == "priority") return ReadPriority(file_, entry.value, spec_);
  const FieldDescriptor* section = v1::TrialSpec::descriptor()->FindFieldByName(entry.key);
  if (section == nullptr) return UnknownIn(entry, nullptr);
  return section->is_repeated() ? Evaluate(section, entry.value) : Section(section, entry.value, entry.key);
}

absl::Status Reader::UnknownIn(const MapEntry& entry, const FieldDescriptor* section) {
  std::vector<std::string> keys;
  const auto* message = section == nullptr ? v1::TrialSpec::descriptor() : section->message_type();
  for (int i = 0; i < message->field_count(); ++i) keys.push_back(message->field(i)->name());
  if (section == nullptr) keys.insert(keys.end(), kTopLevel.begin(), kTopLevel.end());
  const std::string where = section == nullptr ? "an experiment" : section->name();
  const std::string nearest = base::Nearest(entry.key, keys);
  std::string remedy = nearest.empty() ? absl::StrCat("There are ", absl::StrJoin(keys, ", "), ".")
                                       : absl::StrCat("Do you mean ", nearest, "?");
  for (const base::Field& field : base::AllFields()) {
    const bool elsewhere = section == nullptr || field.section != section->name();
    if (field.descriptor->name() == entry.key && elsewhere && nearest != entry.key) {
      remedy = absl::StrCat("It stands under ", field.section, ".");
      break;
    }
  }
  return At(entry.key_node, absl::StrCat("\"", entry.key, "\" is no key of ", where, ". ", remedy));
}

// `path` is the section's own: "train", "evaluate[0]".
absl::Status Reader::Section(const FieldDescriptor* section, const YAML::Node& node, const std::string& path) {
  const auto* first = section->message_type()->field(0);
  auto entries =
      file_.Map(node, path, absl::StrCat(first->name(), ": ", first->options().GetExtension(v1::rule).example()));
  if (!entries.ok()) return entries.status();
  for (const MapEntry& entry : *entries) {
    if (section->message_type()->FindFieldByName(entry.key) == nullptr) return UnknownIn(entry, section);
    const auto field = base::FindField(absl::StrCat(path, ".", entry.key));
    if (!field.ok()) return At(entry.key_node, std::string(field.status().message()));
    const auto settings = Values(*field, entry.value);
    if (!settings.ok()) return settings.status();
    for (const auto& [set, value] : *settings) {
      if (const absl::Status status = base::SetField(*spec_.mutable_base(), set, value); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::Evaluate(const FieldDescriptor* section, const YAML::Node& node) {
  auto items = file_.List(node, "evaluate", "[{metric: bleu}]");
  if (!items.ok()) return items.status();
  if (items->size() > base::kMaxEvaluations) {
    return At(node, absl::StrCat("evaluate has ", items->size(), " items. Write at most ", base::kMaxEvaluations, "."));
  }
  for (size_t i = 0; i < items->size(); ++i) {
    spec_.mutable_base()->add_evaluate();
    const std::string path = absl::StrCat("evaluate[", i, "]");
    if (const absl::Status status = Section(section, (*items)[i], path); !status.ok()) return status;
    if (!spec_.base().evaluate(static_cast<int>(i)).has_metric()) {
      return At((*items)[i], absl::StrCat(path, ".metric is missing. Write for example metric: bleu."));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::Setting>> Reader::ReadSetting(const MapEntry& entry) {
  const auto field = base::FindField(entry.key);
  if (!field.ok()) {
    const bool section = v1::TrialSpec::descriptor()->FindFieldByName(entry.key) != nullptr;
    return At(entry.key_node,
              section
                  ? absl::StrCat("\"", entry.key, "\" is a section. Write the field's path, as in train.learning_rate.")
                  : std::string(field.status().message()));
  }
  const auto values = Values(*field, entry.value);
  if (!values.ok()) return values.status();
  std::vector<v1::Setting> settings;
  for (const auto& [path, value] : *values) {
    settings.emplace_back().set_field(path);
    settings.back().set_value(value);
  }
  return settings;
}

template <typename Settings>
absl::Status Reader::ReadSettings(const YAML::Node& node, const std::string& what, Settings* settings) {
  auto entries = file_.Map(node, what, "scheme: b2t");
  if (!entries.ok()) return entries.status();
  std::set<std::string> seen;
  for (const MapEntry& entry : *entries) {
    const auto read = ReadSetting(entry);
    if (!read.ok()) return read.status();
    for (const v1::Setting& setting : *read) {
      if (!seen.insert(setting.field()).second)
        return At(entry.key_node, absl::StrCat(setting.field(), " stands here twice. Keep one."));
      *settings->Add() = setting;
    }
  }
  return absl::OkStatus();
}

absl::Status Reader::AddAxis(const std::string& key, const YAML::Node& node) {
  const auto field = base::FindField(key);
  if (!field.ok()) return At(node, std::string(field.status().message()));
  if (!node.IsSequence()) {
    return At(node, absl::StrCat("grid: ", key, " is no list. Write its values as [",
                                 node.IsScalar() ? node.Scalar() : "...", "]."));
  }
  if (node.size() == 0)
    return At(node, absl::StrCat("grid: ", key, " has no values. Write at least one, or take the axis out."));
  for (const v1::Axis& axis : spec_.axes()) {
    if (axis.field() == field->path)
      return At(node, absl::StrCat("grid: ", field->path, " is an axis already. Keep one."));
  }
  v1::Axis axis;
  axis.set_field(field->path);
  for (const YAML::Node& item : node) {
    const auto value = Value(*field, item);
    if (!value.ok()) return value.status();
    if (std::find(axis.values().begin(), axis.values().end(), *value) != axis.values().end()) {
      return At(item, absl::StrCat("grid: ", key, " has ", item.Scalar(), " twice. Keep one."));
    }
    axis.add_values(*value);
  }
  *spec_.add_axes() = axis;
  return absl::OkStatus();
}

absl::Status Reader::Grid(const YAML::Node& node) {
  auto entries = file_.Map(node, "grid", "scheme: [post_ln, b2t]");
  if (!entries.ok()) return entries.status();
  for (const MapEntry& entry : *entries) {
    if (v1::TrialSpec::descriptor()->FindFieldByName(entry.key) != nullptr) {
      return At(entry.key_node, absl::StrCat("grid: \"", entry.key,
                                             "\" is a section. Write the field's path, as in train.learning_rate."));
    }
    if (const auto field = base::FindField(entry.key); !field.ok()) {
      return At(entry.key_node, absl::StrCat("grid: ", std::string(field.status().message())));
    }
    if (const absl::Status status = AddAxis(entry.key, entry.value); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status Reader::Cells(const std::string& key, const YAML::Node& node) {
  auto items = file_.List(node, key, "[{scheme: post_ln, depth: 3L-3L}]");
  if (!items.ok()) return items.status();
  for (const YAML::Node& item : *items) {
    v1::Cell* cell = key == "include" ? spec_.add_include() : spec_.add_exclude();
    if (const absl::Status status = ReadSettings(item, absl::StrCat("a cell of ", key), cell->mutable_settings());
        !status.ok())
      return status;
    if (cell->settings().empty())
      return At(item, absl::StrCat(key, " has an empty cell. Write at least one setting, as in {scheme: b2t}."));
  }
  return absl::OkStatus();
}

absl::Status Reader::Overrides(const YAML::Node& node) {
  const std::string example = "[{when: {scheme: t_fixup}, set: {train.warmup: 1}}]";
  auto items = file_.List(node, "overrides", example);
  if (!items.ok()) return items.status();
  for (const YAML::Node& item : *items) {
    auto entries = file_.Map(item, "an override", "set: {train.warmup: 1}");
    if (!entries.ok()) return entries.status();
    v1::Override* change = spec_.add_overrides();
    for (const MapEntry& entry : *entries) {
      if (entry.key != "when" && entry.key != "set") {
        return At(
            entry.key_node,
            absl::StrCat("\"", entry.key, "\" is no key of an override. There are when and set, as in ", example, "."));
      }
      auto* settings = entry.key == "when" ? change->mutable_when() : change->mutable_set();
      if (const absl::Status status = ReadSettings(entry.value, entry.key, settings); !status.ok()) return status;
    }
    if (change->set().empty()) return At(item, absl::StrCat("An override sets nothing. Write it as ", example, "."));
  }
  return absl::OkStatus();
}

absl::Status Reader::Set(const std::string& setting) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--set ", setting, " is no setting. Write PATH=VALUE, as in --set train.updates=20."));
  }
  const std::string path = setting.substr(0, equals);
  file_ = YamlFile(absl::StrCat("--set ", setting), /*with_lines=*/false);
  const auto node = file_.Parse(setting.substr(equals + 1));
  if (!node.ok()) return node.status();
  const auto field = base::FindField(path);
  if (!field.ok()) return At(*node, std::string(field.status().message()));
  auto* axes = spec_.mutable_axes();
  const auto axis =
      std::find_if(axes->begin(), axes->end(), [&](const v1::Axis& a) { return a.field() == field->path; });
  const bool is_axis = axis != axes->end();
  if (is_axis) axes->erase(axis);
  if (node->IsSequence()) return AddAxis(path, *node);
  const auto values = Values(*field, *node);
  if (!values.ok()) return values.status();
  v1::Override all;  // beats included cells and overrides of the file
  for (const auto& [set, value] : *values) {
    if (const absl::Status status = base::SetField(*spec_.mutable_base(), set, value); !status.ok()) {
      return At(*node, std::string(status.message()));
    }
    all.add_set()->set_field(set);
    all.mutable_set(all.set_size() - 1)->set_value(value);
  }
  if (!spec_.include().empty() || !spec_.overrides().empty()) *spec_.add_overrides() = all;
  return absl::OkStatus();
}

absl::Status Reader::CheckComplete(const std::string& file_name) const {
  if (!spec_.include().empty()) return absl::OkStatus();  // each cell may bring its own: the service sees to it
  std::set<std::string> given;
  for (const v1::Axis& axis : spec_.axes()) given.insert(axis.field());
  for (const v1::Override& change : spec_.overrides()) {
    for (const v1::Setting& setting : change.set()) given.insert(setting.field());
  }
  for (const base::Field& field : base::AllFields()) {
    if (field.rule->has_default_value() || field.item >= 0 || given.count(field.path) > 0) continue;
    if (!base::GetField(spec_.base(), field.path)->empty()) continue;
    return absl::InvalidArgumentError(absl::StrCat(file_name, ": ", field.path, " is missing. Write ",
                                                   field.descriptor->name(), ": ", field.rule->example(), " under ",
                                                   field.section, ", or make it an axis of grid."));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::ExperimentSpec> ReadSpec(const std::string& text, const std::string& file_name,
                                            const std::vector<std::string>& sets, const std::string& registry_json) {
  const YamlFile file(file_name);
  const auto root = file.Parse(text);
  if (!root.ok()) return root.status();
  Reader reader(file_name, registry_json);
  if (const absl::Status status = reader.Read(*root); !status.ok()) return status;
  for (const std::string& setting : sets) {
    if (const absl::Status status = reader.Set(setting); !status.ok()) return status;
  }
  if (const absl::Status status = reader.CheckComplete(file_name); !status.ok()) return status;
  return reader.spec();
}

absl::StatusOr<v1::ExperimentSpec> ChangeSpec(const v1::ExperimentSpec& spec, const std::vector<std::string>& sets,
                                              const std::string& registry_json) {
  Reader reader("", registry_json, spec);
  for (const std::string& setting : sets) {
    if (const absl::Status status = reader.Set(setting); !status.ok()) return status;
  }
  return reader.spec();
}

absl::StatusOr<v1::ExperimentSpec> ReadSpecFile(const std::string& path, const std::vector<std::string>& sets,
                                                const std::string& registry_json) {
  if (path == "-") {
    return ReadSpec(std::string(std::istreambuf_iterator<char>(std::cin), {}), "standard input", sets, registry_json);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::NotFoundError(
        absl::StrCat(path, ": there is no such file. 'strata spec init' prints an example to begin with."));
  const std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return absl::InvalidArgumentError(absl::StrCat(path, " cannot be read. Is it a folder?"));
  return ReadSpec(text, path, sets, registry_json);
}

}  // namespace strata::client
