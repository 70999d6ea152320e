#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "client/names.h"
#include "client/report/report.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

// Options under which schemes of one depth must not be compared unseen: a label says them wherever trials differ.
const std::set<std::string> kAlwaysSaid = {"model.rescale_init", "model.depth_scaled_init"};

bool IsCoordinate(const std::string& path) {
  return path == "model.scheme" || path == "model.depth" || path == "train.seed";
}

// Fields in which trials of one scheme and depth differ.
std::set<std::string> DifferingWithin(const Report& report, const TrialResult& of) {
  std::set<std::string> paths;
  const v1::TrialSpec& spec = of.trial.spec();
  for (const TrialResult& result : report.trials) {
    const v1::TrialSpec& other = result.trial.spec();
    if (other.model().scheme() != spec.model().scheme() || other.model().depth() != spec.model().depth()) continue;
    for (const std::string& path : report.differing) {
      if (*base::GetField(other, path) != *base::GetField(spec, path)) paths.insert(path);
    }
  }
  return paths;
}

template <typename Value>
void AddOnce(std::vector<Value>& values, const Value& value) {
  if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
}

}  // namespace

const Stacks& TrialResult::Vector(const std::string& name) const {
  static const Stacks& none = *new Stacks();
  const auto found = vectors.find(name);
  return found == vectors.end() ? none : found->second;
}

int TotalLayers(const std::string& depth) {
  const auto layers = base::ParseDepth(depth);
  return layers.ok() ? layers->encoder + layers->decoder : 0;
}

Report Merge(std::vector<Report> reports) {
  if (reports.size() == 1) return std::move(reports[0]);
  Report merged;
  for (Report& report : reports) {
    if (merged.experiment.name().empty()) merged.experiment = report.experiment;
    for (TrialResult& result : report.trials) merged.trials.push_back(std::move(result));
    merged.datasets.insert(report.datasets.begin(), report.datasets.end());
  }
  Arrange(merged);
  for (TrialResult& result : merged.trials) result.id = ShortName(result.trial.name());
  return merged;
}

void Arrange(Report& report) {
  report.labels.clear();
  report.depths.clear();
  report.differing.clear();
  for (const base::Field& field : base::AllFields()) {
    if (IsCoordinate(field.path) || field.item >= 0) continue;
    std::set<std::string> values;
    for (const TrialResult& result : report.trials) values.insert(*base::GetField(result.trial.spec(), field.path));
    if (values.size() > 1) report.differing.push_back(field.path);
  }
  for (TrialResult& result : report.trials) {
    const v1::TrialSpec& spec = result.trial.spec();
    result.id = LastPart(result.trial.name());
    result.label = spec.model().scheme();
    const std::set<std::string> within = DifferingWithin(report, result);
    for (const std::string& path : report.differing) {
      if (within.count(path) > 0 || kAlwaysSaid.count(path) > 0)
        absl::StrAppend(&result.label, ", ", path.substr(path.find('.') + 1), "=", *base::GetField(spec, path));
    }
    AddOnce(report.labels, result.label);
    AddOnce(report.depths, spec.model().depth());
  }
  std::stable_sort(report.depths.begin(), report.depths.end(),
                   [](const std::string& a, const std::string& b) { return TotalLayers(a) < TotalLayers(b); });
}

}  // namespace strata::client
