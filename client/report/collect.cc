#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/connection.h"
#include "client/measurements.h"
#include "client/names.h"
#include "client/report/report.h"
#include "model/metrics/sentence_scores.h"
#include "server/base/sha256.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

// Families of vectors that plots are made of.
constexpr const char* kVectors[] = {"gradient_norm_output", "gradient_norm_location_", "similarity", "layer_verdict"};

absl::Status ReadScalars(const Connection& connection, const std::string& job, const std::string& series,
                         Curve& curve) {
  const auto points = QueryScalars(connection, job, series);
  if (!points.ok()) return points.status();
  for (const v1::ScalarPoint& point : *points) {
    curve.updates.push_back(point.update());
    curve.values.push_back(point.value());
  }
  return absl::OkStatus();
}

absl::Status ReadVectors(const Connection& connection, const std::string& job, const v1::Series& series,
                         TrialResult& result) {
  const auto points = QueryVectors(connection, job, series.series(), series.stack());
  if (!points.ok()) return points.status();
  if (points->empty()) return absl::OkStatus();
  LayerRows& rows = result.vectors[series.series()][series.stack()];
  for (const auto& point : *points) {
    rows.updates.push_back(point.update());
    rows.values.emplace_back(point.values().begin(), point.values().end());
  }
  return absl::OkStatus();
}

// What a TRAIN or PROBE job measured.
absl::Status ReadMeasurements(const Connection& connection, const std::string& job, TrialResult& result) {
  const auto all = ListSeries(connection, job);
  if (!all.ok()) return absl::IsNotFound(all.status()) ? absl::OkStatus() : all.status();
  for (const v1::Series& series : *all) {
    absl::Status status;
    const std::string& name = series.series();
    if (!series.stack().empty()) {
      const bool drawn = std::any_of(std::begin(kVectors), std::end(kVectors),
                                     [&](const char* family) { return absl::StartsWith(name, family); });
      if (drawn) status = ReadVectors(connection, job, series, result);
    } else if (name == "valid_nll") {
      status = ReadScalars(connection, job, name, result.valid_nll);
    } else if (name == "train_loss") {
      status = ReadScalars(connection, job, name, result.train_loss);
    }
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// The values that a metric's scores have; the metric's own name for one that the scorers here do not know.
std::vector<std::string> ValuesOfMetric(const std::string& metric) {
  try {
    const std::vector<std::string>& values = model::ValuesOf(metric);
    return {values.begin(), values.end()};
  } catch (const std::invalid_argument&) {
    return {metric};
  }
}

// The evaluation that a job computes; null for another job.
const v1::EvaluateSpec* EvaluationOf(const v1::Trial& trial, const std::string& id) {
  int number = 0;
  const size_t dash = id.rfind('-');
  if (dash == std::string::npos || !absl::SimpleAtoi(id.substr(dash + 1), &number)) return nullptr;
  return number < 1 || number > trial.spec().evaluate_size() ? nullptr : &trial.spec().evaluate(number - 1);
}

absl::Status ReadScores(const Connection& connection, const v1::Job& job, TrialResult& result) {
  const std::string id = LastPart(job.name());
  const v1::EvaluateSpec* evaluation = EvaluationOf(result.trial, id);
  if (evaluation == nullptr) return absl::OkStatus();
  const auto all = ListSeries(connection, job.name());
  if (!all.ok()) return absl::IsNotFound(all.status()) ? absl::OkStatus() : all.status();
  const bool several = evaluation->split().find(',') != std::string::npos;
  for (const std::string& value : ValuesOfMetric(evaluation->metric())) {
    for (const v1::Series& series : *all) {
      const size_t slash = series.series().rfind('/');
      if (series.series().substr(slash == std::string::npos ? 0 : slash + 1) != value) continue;
      Curve curve;
      if (const absl::Status status = ReadScalars(connection, job.name(), series.series(), curve); !status.ok())
        return status;
      if (curve.values.empty()) continue;
      const std::string split = slash != std::string::npos ? series.series().substr(0, slash)
                                : several                  ? ""
                                                           : evaluation->split();
      result.scores.push_back({value, id, curve.values.back(), split});
    }
  }
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
  for (const v1::Job& job : source.jobs()) {
    if (job.kind() == v1::JOB_KIND_EVALUATE) continue;
    if (const absl::Status status = ReadMeasurements(connection, job.name(), result); !status.ok()) return status;
  }
  std::set<std::string> read;
  for (const auto* jobs : {&result.trial.jobs(), &source.jobs()}) {
    for (const v1::Job& job : *jobs) {
      if (job.kind() != v1::JOB_KIND_EVALUATE || job.state() != v1::JOB_STATE_SUCCEEDED) continue;
      if (!read.insert(LastPart(job.name())).second) continue;
      if (const absl::Status status = ReadScores(connection, job, result); !status.ok()) return status;
    }
  }
  return absl::OkStatus();
}

absl::Status ReadDatasets(const Connection& connection, Report& report) {
  for (const TrialResult& result : report.trials) {
    const std::string& name = result.trial.spec().task().dataset();
    if (report.datasets.count(name) > 0) continue;
    v1::GetDatasetRequest request;
    request.set_name(absl::StrCat("datasets/", name));
    const auto dataset = connection.Call(&v1::DatasetService::Stub::GetDataset, connection.datasets(), request);
    if (dataset.ok()) {
      report.datasets[name] = *dataset;
    } else if (!absl::IsNotFound(dataset.status())) {
      return dataset.status();
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadText(const Connection& connection, const v1::Artifact& artifact) {
  grpc::ClientContext context;
  v1::ReadArtifactRequest request;
  request.set_name(artifact.name());
  const auto stream = connection.artifacts().ReadArtifact(&context, request);
  std::string text;
  v1::ReadArtifactResponse chunk;
  while (stream->Read(&chunk)) text += chunk.data();
  if (const absl::Status status = connection.Explain(stream->Finish()); !status.ok()) return status;
  if (base::Sha256Hex(text) != artifact.sha256())
    return absl::DataLossError(
        absl::StrCat(ShortName(artifact.name()), ": what arrived is not what was kept. Try again."));
  return text;
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
    base::ApplyDefaults(*result.trial.mutable_spec()).IgnoreError();  // fields that are newer than the trial
    if (const absl::Status status = ReadTrial(connection, result); !status.ok()) return status;
  }
  if (const absl::Status status = ReadDatasets(connection, report); !status.ok()) return status;
  Arrange(report);
  return report;
}

absl::Status ReadSentenceScores(const Connection& connection, Report& report) {
  for (TrialResult& result : report.trials) {
    for (const std::string& owner : {result.trial.name(), result.trial.reused_from()}) {
      if (owner.empty() || !result.sentence_scores.empty()) continue;
      const auto artifacts = ListArtifacts(connection, owner);
      if (!artifacts.ok()) return artifacts.status();
      for (const v1::Artifact& artifact : *artifacts) {  // newest first
        const std::string job = LastPart(artifact.job());
        if (artifact.kind() != "sentence_scores" || result.sentence_scores.count(job) > 0) continue;
        const auto text = ReadText(connection, artifact);
        if (!text.ok()) return text.status();
        result.sentence_scores[job] = *text;
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace strata::client
