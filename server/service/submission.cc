#include "server/service/submission.h"

#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/spec/spec.h"
#include "server/core/grid.h"
#include "server/service/extension.h"
#include "server/service/names.h"

namespace strata::service {
namespace {

using Settings = google::protobuf::RepeatedPtrField<v1::Setting>;

absl::Status Annotate(const absl::Status& status, const std::string& where) {
  return absl::Status(status.code(), absl::StrCat(where, std::string(status.message()).c_str()));
}

// Field and value in the one form that comparing needs: the field's full path, the value as it reads back.
absl::StatusOr<core::Setting> Canonical(const v1::TrialSpec& base, const std::string& path, const std::string& value) {
  const auto field = base::FindField(path);
  if (!field.ok()) return field.status();
  v1::TrialSpec scratch = base;
  if (absl::Status status = base::SetField(scratch, field->path, value); !status.ok()) return status;
  const auto text = base::GetField(scratch, field->path);
  if (!text.ok()) return text.status();
  return core::Setting{field->path, *text};
}

absl::StatusOr<core::Cell> CanonicalCell(const v1::TrialSpec& base, const Settings& settings,
                                         const std::string& where) {
  core::Cell cell;
  std::set<std::string> seen;
  for (const v1::Setting& setting : settings) {
    auto canonical = Canonical(base, setting.field(), setting.value());
    if (!canonical.ok()) return Annotate(canonical.status(), absl::StrCat(where, ": "));
    if (!seen.insert(canonical->first).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(where, ": ", canonical->first, " is set twice. Leave one of them."));
    }
    cell.push_back(*std::move(canonical));
  }
  return cell;
}

// What a field is in cells that do not set it.
std::string BaseValue(const v1::TrialSpec& base, const std::string& path) {
  const auto text = base::GetField(base, path);
  if (text.ok() && !text->empty()) return *text;
  const auto field = base::FindField(path);
  if (!field.ok() || !field->rule->has_default_value()) return "";
  const auto canonical = Canonical(base, path, field->rule->default_value());
  return canonical.ok() ? canonical->second : "";
}

absl::StatusOr<core::GridSpec> ReadGrid(const v1::ExperimentSpec& spec) {
  core::GridSpec grid;
  const v1::TrialSpec& base = spec.base();
  if (spec.axes_size() > kMostAxes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("The grid has ", spec.axes_size(), " axes. Use at most ", kMostAxes, "."));
  }
  for (const v1::Axis& axis : spec.axes()) {
    core::Axis out;
    for (const std::string& value : axis.values()) {
      auto canonical = Canonical(base, axis.field(), value);
      if (!canonical.ok()) return Annotate(canonical.status(), "grid: ");
      out.field = canonical->first;
      out.values.push_back(canonical->second);
    }
    if (out.values.empty()) out.field = axis.field();
    grid.axes.push_back(std::move(out));
  }
  const auto add_cells = [&](const auto& cells, const char* where, std::vector<core::Cell>& out) -> absl::Status {
    for (const v1::Cell& cell : cells) {
      auto canonical = CanonicalCell(base, cell.settings(), where);
      if (!canonical.ok()) return canonical.status();
      out.push_back(*std::move(canonical));
    }
    return absl::OkStatus();
  };
  if (absl::Status status = add_cells(spec.include(), "include", grid.include); !status.ok()) return status;
  if (absl::Status status = add_cells(spec.exclude(), "exclude", grid.exclude); !status.ok()) return status;
  for (const v1::Override& change : spec.overrides()) {
    auto when = CanonicalCell(base, change.when(), "overrides.when");
    if (!when.ok()) return when.status();
    auto set = CanonicalCell(base, change.set(), "overrides.set");
    if (!set.ok()) return set.status();
    for (const auto& [field, value] : *when) grid.base[field] = BaseValue(base, field);
    grid.overrides.push_back({*std::move(when), *std::move(set)});
  }
  return grid;
}

std::string Describe(const core::Cell& cell) {
  std::vector<std::string> parts;
  for (const auto& [field, value] : cell) parts.push_back(absl::StrCat(field, "=", value));
  return parts.empty() ? "" : absl::StrCat("In the trial ", absl::StrJoin(parts, ", "), ": ");
}

}  // namespace

absl::StatusOr<Submission> PlanSubmission(const v1::ExperimentSpec& spec, const PlanOptions& options,
                                          const std::string& registry_json, store::Store& store) {
  if (!IsId(spec.experiment(), 40) || spec.experiment().find('.') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "experiment: \"", spec.experiment(), "\" is no name. Use lower-case letters, digits and hyphens, at most 40."));
  }
  if (spec.priority() < -kHighestPriority || spec.priority() > kHighestPriority) {
    return absl::InvalidArgumentError(absl::StrCat("priority: ", spec.priority(),
                                                   " is out of range. Use a number from ", -kHighestPriority, " to ",
                                                   kHighestPriority, "; higher ones come first, 0 is usual."));
  }
  std::optional<ExtendedExperiment> extended;
  if (!spec.extends().empty()) {
    if (spec.probe_only()) {
      return absl::InvalidArgumentError(
          "extends: a probe trains nothing, so there is nothing to go on with. Leave out extends, or probe_only.");
    }
    auto read = ExtendedExperiment::Read(spec.extends(), store);
    if (!read.ok()) return read.status();
    extended = *std::move(read);
  }
  const auto grid = ReadGrid(spec);
  if (!grid.ok()) return grid.status();
  const auto cells = core::ExpandGrid(*grid, kMostTrials);
  if (!cells.ok()) return cells.status();
  const TrialPlanner planner{registry_json, store, options, spec.probe_only(), extended ? &*extended : nullptr};
  Submission submission{.trials = {}, .priority = spec.priority(), .extends = extended.has_value()};
  for (const core::Cell& cell : *cells) {
    auto trial = planner.Plan(spec.base(), cell);
    if (!trial.ok()) return cells->size() > 1 ? Annotate(trial.status(), Describe(cell)) : trial.status();
    submission.trials.push_back(*std::move(trial));
  }
  if (submission.trials.empty()) {
    return absl::InvalidArgumentError(
        "grid: nothing is left of it. Take something out of exclude, or add a cell by include.");
  }
  return submission;
}

}  // namespace strata::service
