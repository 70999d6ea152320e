#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/format.h"
#include "client/names.h"
#include "client/report/paper_document.h"
#include "model/metrics/sentence_scores.h"

namespace strata::client {
namespace {

constexpr const char* kAverage = "average";

// Names of splits as the paper writes them: dev-clean is dev_clean.
std::string Normalised(const std::string& name) { return absl::StrReplaceAll(name, {{"-", "_"}}); }

bool HasParts(const std::string& metric) { return model::ValuesOf(metric).size() > 1 && metric != "perplexity"; }

// The column of a score in a table of that metric: its value's name where the metric has several, else its split.
std::string ColumnOf(const std::string& metric, const Score& score) {
  if (HasParts(metric)) return score.metric;
  return score.split.empty() ? kAverage : Normalised(score.split);
}

// The scores of one trial by column; of two evaluations of one column the first.
std::map<std::string, double> ScoresOf(const TrialResult& result, const std::string& metric) {
  std::map<std::string, double> scores;
  const std::vector<std::string>& values = model::ValuesOf(metric);
  const bool averaged = HasParts(metric) && std::any_of(result.scores.begin(), result.scores.end(),
                                                        [](const Score& score) { return score.split.empty(); });
  for (const Score& score : result.scores) {
    const bool wanted = HasParts(metric) ? std::find(values.begin(), values.end(), score.metric) != values.end()
                                         : score.metric == values.front();
    if (!wanted || (averaged && !score.split.empty())) continue;
    scores.emplace(ColumnOf(metric, score), score.value);
  }
  return scores;
}

// The scores of a cell's seeds by column.
std::map<std::string, std::vector<double>> ScoresOf(const ResultCell& cell, const std::string& metric) {
  std::map<std::string, std::vector<double>> values;
  for (const TrialResult* result : cell.seeds) {
    if (result->trial.state() != v1::JOB_STATE_SUCCEEDED) continue;
    for (const auto& [column, value] : ScoresOf(*result, metric)) values[column].push_back(value);
  }
  return values;
}

// The paper's columns, then those that only our cells have.
std::vector<std::string> ColumnsOf(const PaperTable& table, const std::vector<ResultCell>& cells) {
  std::vector<std::string> columns;
  for (const std::string& name : table.columns) columns.push_back(Normalised(name));
  for (const ResultCell& cell : cells) {
    for (const auto& [column, values] : ScoresOf(cell, table.metric)) {
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) columns.push_back(column);
    }
  }
  return columns;
}

class ScoresTable {
 public:
  ScoresTable(const PaperTable& paper, const std::vector<ResultCell>& cells)
      : paper_(paper), cells_(cells), columns_(ColumnsOf(paper, cells)) {
    table_.columns = {"Depth", "Scheme", "Whose"};
    table_.columns.insert(table_.columns.end(), columns_.begin(), columns_.end());
    table_.columns.push_back("Device-hours");
  }

  DocumentTable Build() {
    for (const std::string& depth : Depths()) {
      for (const std::string& scheme : Schemes()) {
        for (const PaperRow& row : paper_.rows) {
          if (row.depth == depth && row.scheme == scheme) AddPaper(row);
        }
        for (const ResultCell& cell : cells_) {
          if (cell.depth == depth && cell.scheme == scheme) AddOurs(cell);
        }
      }
    }
    return std::move(table_);
  }

 private:
  int Width() const { return static_cast<int>(columns_.size()); }

  std::vector<std::string> Schemes() const {
    std::vector<std::string> schemes;
    for (const PaperRow& row : paper_.rows) {
      if (std::find(schemes.begin(), schemes.end(), row.scheme) == schemes.end()) schemes.push_back(row.scheme);
    }
    return schemes;
  }

  std::vector<std::string> Depths() const {
    std::vector<std::string> depths;
    const auto add = [&depths](const std::string& depth) {
      if (std::find(depths.begin(), depths.end(), depth) == depths.end()) depths.push_back(depth);
    };
    for (const PaperRow& row : paper_.rows) add(row.depth);
    for (const ResultCell& cell : cells_) add(cell.depth);
    std::stable_sort(depths.begin(), depths.end(),
                     [](const std::string& a, const std::string& b) { return TotalLayers(a) < TotalLayers(b); });
    return depths;
  }

  void AddPaper(const PaperRow& row) {
    std::vector<DocumentCell>& cells = table_.rows.emplace_back();
    const std::string mark = row.suspect.empty() ? "" : "†";
    cells = {{row.depth}, {row.scheme}, {absl::StrCat("paper", row.suspect.empty() ? "" : ", suspect†")}};
    if (!paper_.in_source) {
      cells.push_back({"not in source", CellKind::kMissing, Width()});
    } else if (row.failed) {
      cells.push_back({"Training failed", CellKind::kFailed, Width()});
    } else {
      for (size_t i = 0; i < columns_.size(); ++i) {
        if (i >= row.values.size()) {
          cells.push_back({"", CellKind::kMissing});
          continue;
        }
        cells.push_back({absl::StrFormat("%.2f%s", row.values[i], mark),
                         row.suspect.empty() ? CellKind::kNumber : CellKind::kSuspect});
      }
    }
    cells.push_back({PaperHours(paper_.task, row.depth)});
    if (!row.suspect.empty())
      table_.notes.push_back(
          absl::StrCat("† Suspect, ", row.depth, " ", row.scheme, " of the paper: it ", row.suspect, "."));
  }

  void AddOurs(const ResultCell& cell) {
    const Outcome outcome = OutcomeOf(cell);
    const auto values = ScoresOf(cell, paper_.metric);
    std::vector<DocumentCell>& row = table_.rows.emplace_back();
    row = {{cell.depth}, {cell.label}, {Whose(cell, outcome)}};
    if (outcome.succeeded == 0 && outcome.diverged > 0) {
      row.push_back({"Training failed", CellKind::kFailed, Width()});
    } else if (values.empty()) {
      row.push_back(
          {outcome.others.empty() ? "not scored" : absl::StrJoin(outcome.others, ", "), CellKind::kMissing, Width()});
    } else {
      for (const std::string& column : columns_) {
        const auto found = values.find(column);
        if (found == values.end()) {
          row.push_back({"", CellKind::kMissing});
        } else {
          row.push_back({FormatSpread(found->second, 2), CellKind::kNumber});
        }
      }
    }
    row.push_back({OurHours(cell)});
  }

  // "ours", "ours, 3 seeds", "ours, 3 seeds, 1 failed".
  static std::string Whose(const ResultCell& cell, const Outcome& outcome) {
    std::string text = "ours";
    if (cell.seeds.size() > 1) absl::StrAppend(&text, ", ", cell.seeds.size(), " seeds");
    if (outcome.diverged > 0 && outcome.diverged < cell.seeds.size())
      absl::StrAppend(&text, ", ", outcome.diverged, " failed");
    const size_t without = cell.seeds.size() - outcome.succeeded - outcome.diverged;
    if (without > 0 && outcome.succeeded + outcome.diverged > 0)
      absl::StrAppend(&text, ", ", without, " without a result");
    return text;
  }

  const PaperTable& paper_;
  const std::vector<ResultCell>& cells_;
  std::vector<std::string> columns_;
  DocumentTable table_;
};

std::string Unit(const std::string& metric) {
  if (metric == "perplexity") return "Perplexity a word, lower is better.";
  if (metric == "wer") return "Word error rate in percent, lower is better.";
  return absl::StrCat(metric == "bleu" ? "BLEU" : "F1 in percent", ", higher is better.");
}

// Cells that the table has a place for: those scored by its metric, of its schemes.
std::vector<ResultCell> CellsFor(const PaperTable& table, const Report& report, std::vector<std::string>& notes) {
  std::set<std::string> schemes, left;
  for (const PaperRow& row : table.rows) schemes.insert(row.scheme);
  std::vector<ResultCell> cells;
  for (ResultCell& cell : Cells(report)) {
    const v1::TrialSpec& spec = cell.seeds[0]->trial.spec();
    if (spec.task().kind() == table.task && schemes.count(cell.scheme) > 0) {
      cells.push_back(std::move(cell));
    } else {
      left.insert(absl::StrCat(cell.label, " ", cell.depth, " (", spec.task().kind(), ")"));
    }
  }
  if (!left.empty()) notes.push_back(absl::StrCat("Not of this table and left out: ", absl::StrJoin(left, "; "), "."));
  return cells;
}

std::vector<std::string> NotesOf(const PaperTable& paper, const std::vector<ResultCell>& cells) {
  std::vector<std::string> notes = {
      absl::StrCat(Unit(paper.metric), " Of several seeds: mean ± standard deviation over those that did not fail.")};
  if (!paper.in_source)
    notes.push_back(
        absl::StrCat("Our copy of the paper lacks the values of ", paper.name, ": they are not in source."));
  bool early = false, hours = false;
  std::set<std::string> devices;
  for (const ResultCell& cell : cells) {
    for (const TrialResult* result : cell.seeds) {
      early = early || (!result->scores.empty() && result->trial.updates_done() < kUpdatesForScores);
      hours = hours || DeviceHours(result->trial) > 0;
      if (const std::string device = DeviceOf(result->trial); !device.empty()) devices.insert(device);
    }
  }
  if (early) {
    notes.push_back(absl::StrCat("Some of our scores are of fewer than ", FormatCount(kUpdatesForScores),
                                 " updates: too short a training to mean anything."));
  }
  notes.push_back(absl::StrCat(
      "Device-hours: the paper's are Table 8's GPUs (Tesla P100) × hours",
      hours ? absl::StrCat("; ours are slots × hours of the training, measured on ", absl::StrJoin(devices, ", ")) : "",
      "."));
  return notes;
}

}  // namespace

Document PaperTableDocument(const std::string& name, const Report& report) {
  if (name == "table7") return SettingsDocument(report);
  if (name == "table8") return HoursDocument(report);
  const PaperTable paper = FindPaperTable(name);
  Document document;
  document.title = absl::StrCat("Table ", name.substr(5), ": ", paper.caption);
  document.lead = {absl::StrCat("Paper: ", PaperSource(), ".")};
  std::vector<std::string> left_out;
  const std::vector<ResultCell> cells = CellsFor(paper, report, left_out);
  DocumentTable table = ScoresTable(paper, cells).Build();
  const std::vector<std::string> notes = NotesOf(paper, cells);
  table.notes.insert(table.notes.begin(), notes.begin(), notes.end());
  table.notes.insert(table.notes.end(), left_out.begin(), left_out.end());
  document.tables.push_back(std::move(table));
  if (cells.empty()) {
    document.lead.push_back(
        absl::StrCat("There is no cell of ours for it: no trial is a ", paper.task, " of its schemes."));
    return document;
  }
  DocumentTable significance = SignificanceTable(cells, paper.metric);
  if (!significance.rows.empty() || significance.notes.size() > 1) document.tables.push_back(std::move(significance));
  document.tables.push_back(BehindTable(cells, report));
  document.tables.push_back(RecipeTable(cells, paper.task));
  return document;
}

}  // namespace strata::client
