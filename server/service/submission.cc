#include "server/service/submission.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/sha256.h"
#include "server/base/spec/spec.h"
#include "server/core/grid.h"
#include "server/service/estimate.h"
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

absl::Status CheckWhatThisVersionCannotDo(const v1::TrialSpec& spec) {
  if (spec.resources().ranks() > 1) {
    return absl::InvalidArgumentError(absl::StrCat("resources.ranks is ", spec.resources().ranks(),
                                                   ", but this version trains with one rank a trial. Leave it at 1."));
  }
  return absl::OkStatus();
}

// The dataset, and whether it is what the spec needs.
absl::StatusOr<store::Dataset> FindDataset(const v1::TrialSpec& spec, store::Store& store) {
  const std::string& name = spec.task().dataset();
  const auto dataset = store.FindDataset(name);
  if (!dataset.ok()) return dataset.status();
  if (!dataset->has_value() || !(*dataset)->complete) {
    return absl::FailedPreconditionError(absl::StrCat(
        "task.dataset: ", name,
        " is not registered. Prepare it and register it with 'strata data add', or name one of 'strata data list'."));
  }
  if ((*dataset)->task != spec.task().kind()) {
    return absl::InvalidArgumentError(absl::StrCat("task.dataset: ", name, " is prepared for the task ",
                                                   (*dataset)->task, ", but task.kind is ", spec.task().kind(),
                                                   ". Change one of them."));
  }
  return **dataset;
}

absl::Status CheckSplits(const v1::TrialSpec& spec, const nlohmann::json& manifest) {
  if (!manifest.contains("splits") || !manifest["splits"].is_object()) return absl::OkStatus();
  for (int i = 0; i < spec.evaluate_size(); ++i) {
    if (manifest["splits"].contains(spec.evaluate(i).split())) continue;
    std::vector<std::string> splits;
    for (const auto& [name, split] : manifest["splits"].items()) splits.push_back(name);
    return absl::InvalidArgumentError(absl::StrCat("evaluate[", i, "].split: ", spec.evaluate(i).split(),
                                                   " is no split of the dataset ", spec.task().dataset(), ". It has ",
                                                   absl::StrJoin(splits, ", "), "."));
  }
  return absl::OkStatus();
}

std::string LeafOfEvaluation(int index) { return absl::StrCat("evaluate-", index + 1); }

void PlanOwnJobs(PlannedTrial& trial) {
  trial.jobs.push_back({.leaf = "train"});
  for (int i = 0; i < trial.spec.evaluate_size(); ++i) {
    trial.jobs.push_back({.leaf = LeafOfEvaluation(i),
                          .kind = core::JobKind::kEvaluate,
                          .upstream = "train",
                          .accepts_diverged = trial.spec.train().on_divergence() == "continue"});
  }
}

// The trial of this fingerprint that is done, if there is one.
absl::StatusOr<std::optional<std::pair<store::Trial, core::Job>>> FindDone(const std::string& fingerprint,
                                                                           store::Store& store) {
  const auto trials = store.TrialsWithFingerprint(fingerprint);
  if (!trials.ok()) return trials.status();
  for (const store::Trial& trial : *trials) {
    const auto job = store.FindJob(absl::StrCat(trial.name, "/jobs/train"));
    if (!job.ok()) return job.status();
    if (job->has_value() &&
        ((*job)->state == core::JobState::kSucceeded || (*job)->state == core::JobState::kDiverged)) {
      return std::make_optional(std::make_pair(trial, **job));
    }
  }
  return std::nullopt;
}

absl::Status PlanReuse(PlannedTrial& trial, const store::Trial& source, const core::Job& train, store::Store& store) {
  trial.reused_from = source.name;
  trial.jobs.push_back({.leaf = "train", .existing = train.name});
  const auto jobs = store.JobsOfTrial(source.name);
  if (!jobs.ok()) return jobs.status();
  const auto source_spec = base::FromJson(source.spec_json);
  if (!source_spec.ok()) return source_spec.status();
  const bool has_weights =
      train.state == core::JobState::kSucceeded || trial.spec.train().on_divergence() == "continue";
  for (int i = 0; i < trial.spec.evaluate_size(); ++i) {
    PlannedJob planned{.leaf = LeafOfEvaluation(i), .kind = core::JobKind::kEvaluate};
    for (const store::TrialJob& job : *jobs) {
      for (int k = 0; k < source_spec->evaluate_size(); ++k) {
        const bool same = job.leaf == LeafOfEvaluation(k) && google::protobuf::util::MessageDifferencer::Equals(
                                                                 trial.spec.evaluate(i), source_spec->evaluate(k));
        // A score that failed, or was cancelled, is tried again.
        if (same && (job.job.state == core::JobState::kSucceeded || !core::IsFinal(job.job.state) || !has_weights)) {
          planned.existing = job.job.name;
        }
      }
    }
    planned.upstream = train.name;
    planned.accepts_diverged = has_weights;
    if (!planned.existing.empty() || has_weights) trial.jobs.push_back(std::move(planned));
  }
  return absl::OkStatus();
}

std::string Describe(const core::Cell& cell) {
  std::vector<std::string> parts;
  for (const auto& [field, value] : cell) parts.push_back(absl::StrCat(field, "=", value));
  return parts.empty() ? "" : absl::StrCat("In the trial ", absl::StrJoin(parts, ", "), ": ");
}

absl::StatusOr<PlannedTrial> PlanTrial(const v1::TrialSpec& base, const core::Cell& cell, bool force,
                                       const std::string& registry_json, store::Store& store) {
  PlannedTrial trial;
  trial.spec = base;
  for (const auto& [field, value] : cell) {
    if (absl::Status status = base::SetField(trial.spec, field, value); !status.ok()) return status;
  }
  if (absl::Status status = base::ApplyDefaults(trial.spec); !status.ok()) return status;
  if (absl::Status status = base::ValidateFields(trial.spec, registry_json); !status.ok()) return status;
  if (absl::Status status = CheckWhatThisVersionCannotDo(trial.spec); !status.ok()) return status;
  const auto dataset = FindDataset(trial.spec, store);
  if (!dataset.ok()) return dataset.status();
  const auto manifest = nlohmann::json::parse(dataset->manifest, nullptr, false);
  if (absl::Status status = CheckSplits(trial.spec, manifest); !status.ok()) return status;
  const auto json = base::ToCanonicalJson(trial.spec);
  if (!json.ok()) return json.status();
  trial.spec_json = *json;
  trial.dataset_digest = dataset->digest;
  const auto fingerprint = Fingerprint(trial.spec, dataset->digest);
  if (!fingerprint.ok()) return fingerprint.status();
  trial.fingerprint = *fingerprint;
  if (!force) {
    const auto done = FindDone(trial.fingerprint, store);
    if (!done.ok()) return done.status();
    if (done->has_value()) {
      if (absl::Status status = PlanReuse(trial, (*done)->first, (*done)->second, store); !status.ok()) return status;
      return trial;
    }
  }
  PlanOwnJobs(trial);
  return trial;
}

}  // namespace

absl::StatusOr<std::string> Fingerprint(const v1::TrialSpec& spec, const std::string& dataset_digest) {
  v1::TrialSpec training = spec;
  training.clear_evaluate();
  const auto json = base::ToCanonicalJson(training);
  if (!json.ok()) return json.status();
  return base::Sha256Hex(absl::StrCat(*json, "\n", dataset_digest));
}

absl::StatusOr<Submission> PlanSubmission(const v1::ExperimentSpec& spec, bool force, const std::string& registry_json,
                                          store::Store& store) {
  if (!IsId(spec.experiment(), 40) || spec.experiment().find('.') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "experiment: \"", spec.experiment(), "\" is no name. Use lower-case letters, digits and hyphens, at most 40."));
  }
  const auto grid = ReadGrid(spec);
  if (!grid.ok()) return grid.status();
  const auto cells = core::ExpandGrid(*grid, kMostTrials);
  if (!cells.ok()) return cells.status();
  Submission submission;
  for (const core::Cell& cell : *cells) {
    auto trial = PlanTrial(spec.base(), cell, force, registry_json, store);
    if (!trial.ok()) return cells->size() > 1 ? Annotate(trial.status(), Describe(cell)) : trial.status();
    submission.trials.push_back(*std::move(trial));
  }
  if (submission.trials.empty()) {
    return absl::InvalidArgumentError(
        "grid: nothing is left of it. Take something out of exclude, or add a cell by include.");
  }
  const auto estimate = EstimateCost(submission, store);
  if (!estimate.ok()) return estimate.status();
  submission.estimate = *estimate;
  return submission;
}

}  // namespace strata::service
