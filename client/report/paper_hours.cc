#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/report/paper_document.h"
#include "server/base/spec/spec.h"

namespace strata::client {
namespace {

// Three digits that mean something.
std::string Hours(double hours) { return absl::StrFormat(hours < 100 ? "%.3g" : "%.0f", hours); }

const PaperRow* HoursRow(const PaperTable& table, const std::string& task, const std::string& depth) {
  for (const PaperRow& row : table.rows) {
    if (row.task == task && row.depth == depth) return &row;
  }
  return nullptr;
}

std::string TaskOf(const ResultCell& cell) { return cell.seeds[0]->trial.spec().task().kind(); }

}  // namespace

std::string PaperHours(const std::string& task, const std::string& depth) {
  const PaperTable table = FindPaperTable("table8");
  const PaperRow* row = HoursRow(table, task, depth);
  if (row == nullptr) return "";
  return absl::StrFormat("%.0f (%.0f × %.0f h)", row->values[0] * row->values[1], row->values[0], row->values[1]);
}

std::string OurHours(const ResultCell& cell) {
  std::vector<double> hours;
  for (const TrialResult* result : cell.seeds) {
    if (const double taken = DeviceHours(result->trial); taken > 0) hours.push_back(taken);
  }
  if (hours.empty()) return "";
  const int ranks = std::max(1, cell.seeds[0]->trial.spec().resources().ranks());
  return absl::StrCat(Hours(Mean(hours)), " (", ranks, " × ", Hours(Mean(hours) / ranks), " h)");
}

Document HoursDocument(const Report& report) {
  const PaperTable paper = FindPaperTable("table8");
  Document document;
  document.title = absl::StrCat("Table 8: ", paper.caption);
  document.lead = {absl::StrCat("Paper: ", PaperSource(), ".")};
  DocumentTable& table = document.tables.emplace_back();
  table.columns = {"Task", "Depth", "Whose", "Slots", "Hours", "Device-hours", "Device"};
  const auto add = [&table](const std::string& task, const std::string& depth, const std::string& whose, double slots,
                            double hours, const std::string& device) {
    table.rows.push_back({{task},
                          {depth},
                          {whose},
                          {Hours(slots), CellKind::kNumber},
                          {Hours(hours), CellKind::kNumber},
                          {Hours(slots * hours), CellKind::kNumber},
                          {device}});
  };
  std::set<const ResultCell*> shown;
  const std::vector<ResultCell> cells = Cells(report);
  const auto add_ours = [&](const ResultCell& cell) {
    std::vector<double> hours;
    for (const TrialResult* result : cell.seeds) {
      if (const double taken = DeviceHours(result->trial); taken > 0) hours.push_back(taken);
    }
    if (hours.empty() || !shown.insert(&cell).second) return;
    const double ranks = std::max(1, cell.seeds[0]->trial.spec().resources().ranks());
    add(TaskOf(cell), cell.depth, absl::StrCat("ours, ", cell.label), ranks, Mean(hours) / ranks,
        DeviceOf(cell.seeds[0]->trial));
  };
  for (const PaperRow& row : paper.rows) {
    add(row.task, row.depth, "paper", row.values[0], row.values[1], "Tesla P100");
    for (const ResultCell& cell : cells) {
      if (TaskOf(cell) == row.task && cell.depth == row.depth) add_ours(cell);
    }
  }
  for (const ResultCell& cell : cells) add_ours(cell);  // depths that Table 8 does not have
  table.notes = {
      "Ours: time from leases to end over all attempts of a training, mean over seeds. A training that failed ends "
      "early."};
  return document;
}

Document SettingsDocument(const Report& report) {
  Document document;
  document.title = "Table 7: Hyper-parameters";
  document.lead = {absl::StrCat("Paper: ", PaperSource(), ".")};
  DocumentTable& table = document.tables.emplace_back();
  const std::vector<std::string> tasks = PaperSettingTasks();
  table.columns = {"Hyper-parameter", "Field"};
  for (const std::string& task : tasks) {
    table.columns.push_back(absl::StrCat(task, ", paper"));
    table.columns.push_back("ours");
  }
  for (const PaperSetting& setting : PaperSettings()) {
    std::vector<DocumentCell>& row = table.rows.emplace_back();
    row = {{setting.name}, {setting.path}};
    for (size_t i = 0; i < tasks.size(); ++i) {
      std::set<std::string> ours;
      for (const TrialResult& result : report.trials) {
        if (result.trial.spec().task().kind() == tasks[i] && !setting.path.empty())
          ours.insert(*base::GetField(result.trial.spec(), setting.path));
      }
      row.push_back({setting.values[i]});
      row.push_back({ours.empty() ? "" : absl::StrJoin(ours, ", ")});
    }
  }
  table.notes = {
      "The paper's are the same for every scheme but T-Fixup, which had the values of its own paper; speech counts "
      "frames. schedule: scheme stands for what the scheme was published with."};
  return document;
}

}  // namespace strata::client
