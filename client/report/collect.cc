#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/report/report.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

Curve ToCurve(const std::vector<v1::ScalarPoint>& points) {
  Curve curve;
  for (const auto& point : points) {
    curve.updates.push_back(point.update());
    curve.values.push_back(point.value());
  }
  return curve;
}

absl::Status ReadScalars(const Connection& connection, const std::string& job, const std::string& series,
                         Curve& curve) {
  const auto points = QueryScalars(connection, job, series);
  if (points.ok()) curve = ToCurve(*points);
  return absl::IsNotFound(points.status()) ? absl::OkStatus() : points.status();
}

absl::Status ReadVectors(const Connection& connection, const std::string& job, const std::string& stack,
                         TrialResult& result) {
  const auto points = QueryVectors(connection, job, "gradient_norm_output", stack);
  if (!points.ok()) return absl::IsNotFound(points.status()) ? absl::OkStatus() : points.status();
  if (points->empty()) return absl::OkStatus();
  LayerRows& rows = result.gradient_norms[stack];
  for (const auto& point : *points) {
    rows.updates.push_back(point.update());
    rows.values.emplace_back(point.values().begin(), point.values().end());
  }
  return absl::OkStatus();
}

// The score of an EVALUATE job: the scalar named like its metric.
absl::Status ReadScore(const Connection& connection, const v1::Job& job, TrialResult& result) {
  const std::string id = LastPart(job.name());
  int number = 0;
  const size_t dash = id.rfind('-');
  if (dash == std::string::npos || !absl::SimpleAtoi(id.substr(dash + 1), &number)) return absl::OkStatus();
  if (number < 1 || number > result.trial.spec().evaluate_size()) return absl::OkStatus();
  const std::string metric = result.trial.spec().evaluate(number - 1).metric();
  Curve curve;
  if (const absl::Status status = ReadScalars(connection, job.name(), metric, curve); !status.ok()) return status;
  if (!curve.values.empty()) result.scores.push_back({metric, id, curve.values.back()});
  return absl::OkStatus();
}

absl::Status ReadTrial(const Connection& connection, TrialResult& result) {
  // What was trained for an earlier trial is stored with that one.
  v1::Trial source = result.trial;
  if (!result.trial.reused_from().empty()) {
    v1::GetTrialRequest request;
    request.set_name(result.trial.reused_from());
    const auto trial = connection.Call(&v1::TrialService::Stub::GetTrial, connection.trials(), request);
    if (!trial.ok()) return trial.status();
    source = *trial;
  }
  const std::string train = absl::StrCat(source.name(), "/jobs/train");
  absl::Status status = ReadScalars(connection, train, "valid_nll", result.valid_nll);
  if (status.ok()) status = ReadScalars(connection, train, "train_loss", result.train_loss);
  for (const char* stack : {"encoder", "decoder"}) {
    if (status.ok()) status = ReadVectors(connection, train, stack, result);
  }
  std::set<std::string> read;
  for (const auto* jobs : {&result.trial.jobs(), &source.jobs()}) {
    for (const v1::Job& job : *jobs) {
      if (!status.ok()) return status;
      if (job.kind() != v1::JOB_KIND_EVALUATE || job.state() != v1::JOB_STATE_SUCCEEDED) continue;
      if (read.insert(LastPart(job.name())).second) status = ReadScore(connection, job, result);
    }
  }
  return status;
}

// Layers in all, to put shallow columns first.
int TotalLayers(const std::string& depth) {
  const auto layers = base::ParseDepth(depth);
  return layers.ok() ? layers->encoder + layers->decoder : 0;
}

}  // namespace

absl::StatusOr<Report> Collect(const Connection& connection, const std::string& experiment) {
  v1::GetExperimentRequest request;
  request.set_name(experiment);
  const auto found = connection.Call(&v1::ExperimentService::Stub::GetExperiment, connection.experiments(), request);
  if (!found.ok()) return found.status();
  const auto trials = ListTrials(connection, experiment);
  if (!trials.ok()) return trials.status();
  Report report;
  report.experiment = *found;
  for (const v1::Trial& trial : *trials) {
    TrialResult& result = report.trials.emplace_back();
    result.trial = trial;
    if (const absl::Status status = ReadTrial(connection, result); !status.ok()) return status;
  }
  Arrange(report);
  return report;
}

void Arrange(Report& report) {
  for (const base::Field& field : base::AllFields()) {
    if (field.path == "model.scheme" || field.path == "model.depth" || field.path == "train.seed" || field.item >= 0)
      continue;
    std::set<std::string> values;
    for (const TrialResult& result : report.trials) values.insert(*base::GetField(result.trial.spec(), field.path));
    if (values.size() > 1) report.differing.push_back(field.path);
  }
  for (TrialResult& result : report.trials) {
    const v1::TrialSpec& spec = result.trial.spec();
    result.id = LastPart(result.trial.name());
    result.label = spec.model().scheme();
    for (const std::string& path : report.differing) {
      absl::StrAppend(&result.label, ", ", path.substr(path.find('.') + 1), "=", *base::GetField(spec, path));
    }
    if (std::find(report.labels.begin(), report.labels.end(), result.label) == report.labels.end())
      report.labels.push_back(result.label);
    const std::string& depth = spec.model().depth();
    if (std::find(report.depths.begin(), report.depths.end(), depth) == report.depths.end())
      report.depths.push_back(depth);
  }
  std::stable_sort(report.depths.begin(), report.depths.end(),
                   [](const std::string& a, const std::string& b) { return TotalLayers(a) < TotalLayers(b); });
}

}  // namespace strata::client
