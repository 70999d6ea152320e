#include "client/report/compare.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/cell.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

using Names = std::vector<std::string>;

// All values of a field over an experiment's trials, in the order in which they come.
std::string ValuesIn(const Report& report, const std::string& path) {
  std::vector<std::string> values;
  for (const TrialResult& result : report.trials) {
    const auto value = base::GetField(result.trial.spec(), path);
    if (value.ok() && std::find(values.begin(), values.end(), *value) == values.end()) values.push_back(*value);
  }
  return absl::StrJoin(values, ", ");
}

// Every field's path, those of each evaluation included.
std::vector<std::string> Paths(const std::vector<Report>& reports) {
  int evaluations = 0;
  for (const Report& report : reports) {
    for (const TrialResult& result : report.trials)
      evaluations = std::max(evaluations, result.trial.spec().evaluate_size());
  }
  std::vector<std::string> paths;
  for (const base::Field& field : base::AllFields()) {
    for (int item = 0; item < (field.item < 0 ? 1 : evaluations); ++item)
      paths.push_back(field.item < 0 ? field.path
                                     : absl::StrCat(field.section, "[", item, "].", field.descriptor->name()));
  }
  return paths;
}

DocumentTable Configurations(const std::vector<Report>& reports, const Names& names) {
  DocumentTable table;
  table.title = "Configurations: what differs";
  table.columns = {"Field"};
  table.columns.insert(table.columns.end(), names.begin(), names.end());
  const auto add = [&table](const std::string& field, const std::vector<std::string>& values) {
    if (std::set<std::string>(values.begin(), values.end()).size() < 2) return;
    std::vector<DocumentCell>& row = table.rows.emplace_back();
    row.push_back({field});
    for (const std::string& value : values) row.push_back({value});
  };
  for (const std::string& path : Paths(reports)) {
    std::vector<std::string> values;
    for (const Report& report : reports) values.push_back(ValuesIn(report, path));
    add(path, values);
  }
  std::vector<std::string> digests;
  for (const Report& report : reports) {
    std::set<std::string> of_report;
    for (const TrialResult& result : report.trials) of_report.insert(result.trial.dataset_digest().substr(0, 12));
    digests.push_back(absl::StrJoin(of_report, ", "));
  }
  add("dataset's digest", digests);
  if (table.rows.empty()) table.notes.push_back("They differ in no field.");
  return table;
}

// One value to compare: best validation NLL, or a score.
struct Value {
  std::string name;
  int digits = 2;
};

using BySeed = std::map<int64_t, double>;

BySeed ValuesOf(const ResultCell& cell, const Value& value) {
  BySeed values;
  for (const TrialResult* result : cell.seeds) {
    const v1::Trial& trial = result->trial;
    if (trial.state() != v1::JOB_STATE_SUCCEEDED) continue;
    const int64_t seed = trial.spec().train().seed();
    if (value.name == kBestNll && trial.has_best_nll() && std::isfinite(trial.best_nll()))
      values[seed] = trial.best_nll();
    for (const Score& score : result->scores) {
      if (ScoreName(score) == value.name) values[seed] = score.value;
    }
  }
  return values;
}

std::vector<double> Numbers(const BySeed& values) {
  std::vector<double> numbers;
  for (const auto& [seed, value] : values) numbers.push_back(value);
  return numbers;
}

// Mean of the differences over the seeds that both have; "" if they share none.
std::string DifferenceOf(const BySeed& values, const BySeed& first, int digits) {
  std::vector<double> differences;
  for (const auto& [seed, value] : values) {
    if (const auto found = first.find(seed); found != first.end()) differences.push_back(value - found->second);
  }
  return differences.empty() ? "" : absl::StrFormat("%+.*f", digits, Mean(differences));
}

std::vector<Value> ValuesToCompare(const std::vector<Report>& reports) {
  std::vector<Value> values = {{kBestNll, 3}};
  for (const Report& report : reports) {
    for (const TrialResult& result : report.trials) {
      for (const Score& score : result.scores) {
        const std::string name = ScoreName(score);
        if (std::none_of(values.begin(), values.end(), [&](const Value& value) { return value.name == name; }))
          values.push_back({name, 2});
      }
    }
  }
  return values;
}

// The cell of a report with that coordinate; null if it has none. Several that other options tell apart: the first.
struct Coordinate {
  std::string scheme, depth, label;
};

class CellsTable {
 public:
  CellsTable(const std::vector<Report>& reports, const Names& names) : names_(names) {
    for (const Report& report : reports) cells_.push_back(Cells(report));
    values_ = ValuesToCompare(reports);
  }

  DocumentTable Build() {
    table_.title = "Cells";
    table_.columns = {"Scheme", "Depth", "Value"};
    for (size_t i = 0; i < names_.size(); ++i) {
      table_.columns.push_back(names_[i]);
      if (i > 0) table_.columns.push_back(names_.size() == 2 ? "Difference" : absl::StrCat("less ", names_[0]));
    }
    for (const Coordinate& at : Coordinates()) {
      for (const Value& value : values_) AddRow(at, value);
    }
    table_.notes = {absl::StrCat(
        "Best NLL: lowest validation NLL, nats a target token. Mean ± standard deviation over seeds that did not "
        "fail; differences are to ",
        names_[0], ", over the seeds that both have.")};
    return std::move(table_);
  }

 private:
  // By label: cells of one scheme and depth in both, whatever else differs between the experiments.
  std::vector<Coordinate> Coordinates() const {
    std::vector<Coordinate> all;
    for (const auto& cells : cells_) {
      for (const ResultCell& cell : cells) {
        const bool known = std::any_of(all.begin(), all.end(), [&](const Coordinate& at) {
          return at.label == cell.label && at.depth == cell.depth;
        });
        if (!known) all.push_back({cell.scheme, cell.depth, cell.label});
      }
    }
    return all;
  }

  const ResultCell* Find(size_t report, const Coordinate& at) const {
    for (const ResultCell& cell : cells_[report]) {
      if (cell.label == at.label && cell.depth == at.depth) return &cell;
    }
    return nullptr;
  }

  void AddRow(const Coordinate& at, const Value& value) {
    std::vector<DocumentCell> row = {{at.label}, {at.depth}, {value.name}};
    BySeed first;
    bool any = false;
    for (size_t i = 0; i < cells_.size(); ++i) {
      const ResultCell* cell = Find(i, at);
      const BySeed values = cell == nullptr ? BySeed() : ValuesOf(*cell, value);
      row.push_back(CellText(cell, values, value));
      any = any || row.back().kind == CellKind::kNumber || value.name == kBestNll;
      if (i == 0) {
        first = values;
      } else {
        const std::string difference = DifferenceOf(values, first, value.digits);
        row.push_back({difference, difference.empty() ? CellKind::kMissing : CellKind::kNumber});
      }
    }
    if (any) table_.rows.push_back(std::move(row));
  }

  static DocumentCell CellText(const ResultCell* cell, const BySeed& values, const Value& value) {
    if (cell == nullptr) return {"", CellKind::kMissing};
    const Outcome outcome = OutcomeOf(*cell);
    if (!values.empty()) {
      const std::string failed =
          outcome.diverged > 0 ? absl::StrCat(" (", outcome.diverged, " of ", cell->seeds.size(), " failed)") : "";
      return {absl::StrCat(FormatSpread(Numbers(values), value.digits), failed), CellKind::kNumber};
    }
    if (outcome.diverged > 0) return {"Training failed", CellKind::kFailed};
    return {absl::StrJoin(outcome.others, ", "), CellKind::kMissing};
  }

  const Names& names_;
  std::vector<std::vector<ResultCell>> cells_;
  std::vector<Value> values_;
  DocumentTable table_;
};

}  // namespace

std::string ScoreName(const Score& score) {
  return absl::StrCat(score.metric, score.split.empty() ? " average" : absl::StrCat(" ", score.split),
                      score.job == "evaluate-1" ? "" : absl::StrCat(" (", score.job, ")"));
}

Document CompareDocument(const std::vector<Report>& reports) {
  Names names;
  for (const Report& report : reports) names.push_back(ShortName(report.experiment.name()));
  Document document;
  document.title = absl::StrJoin(names, " and ");
  document.tables = {Configurations(reports, names), CellsTable(reports, names).Build()};
  return document;
}

}  // namespace strata::client
