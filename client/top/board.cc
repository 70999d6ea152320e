#include "client/top/board.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/report/report.h"
#include "server/base/spec/spec.h"

namespace strata::client::top {
namespace {

// Fields that have a place of their own on the screen: rows, columns, lines, boards.
bool HasOwnPlace(const std::string& field) {
  static const std::set<std::string> kPlaced = {"scheme", "model.scheme", "depth",     "model.depth",
                                                "seed",   "train.seed",   "task.kind", "task.dataset"};
  return kPlaced.contains(field);
}

// What else the grid varies, in its order, each once.
std::vector<std::string> FurtherFields(const v1::Experiment& experiment) {
  std::vector<std::string> fields;
  const auto add = [&](const std::string& field) {
    if (!HasOwnPlace(field) && std::find(fields.begin(), fields.end(), field) == fields.end()) fields.push_back(field);
  };
  for (const v1::Axis& axis : experiment.spec().axes()) add(axis.field());
  for (const v1::Cell& cell : experiment.spec().include()) {
    for (const v1::Setting& setting : cell.settings()) add(setting.field());
  }
  return fields;
}

std::string LabelOf(const std::vector<std::string>& further, const v1::Trial& trial) {
  std::string label = trial.spec().model().scheme();
  for (const std::string& field : further) {
    const auto value = base::GetField(trial.spec(), field);
    if (value.ok()) absl::StrAppend(&label, " ", field.substr(field.rfind('.') + 1), "=", *value);
  }
  return label;
}

template <typename Item, typename Matches>
Item& FindOrAdd(std::vector<Item>& items, const Matches& matches) {
  const auto found = std::find_if(items.begin(), items.end(), matches);
  return found == items.end() ? items.emplace_back() : *found;
}

void AddDepth(Board& board, const std::string& depth) {
  if (std::find(board.depths.begin(), board.depths.end(), depth) == board.depths.end()) board.depths.push_back(depth);
}

}  // namespace

std::vector<Board> Arrange(const v1::Experiment& experiment, const std::vector<v1::Trial>& trials) {
  const std::vector<std::string> further = FurtherFields(experiment);
  std::vector<Board> boards;
  const auto board_of = [&](const v1::Trial& trial) -> Board& {
    const std::string title = absl::StrCat(trial.spec().task().kind(), " ", trial.spec().task().dataset());
    Board& board = FindOrAdd(boards, [&](const Board& b) { return b.title == title; });
    board.title = title;
    return board;
  };
  for (const v1::Trial& trial : trials) AddDepth(board_of(trial), trial.spec().model().depth());
  for (Board& board : boards) {
    std::stable_sort(board.depths.begin(), board.depths.end(),
                     [](const auto& a, const auto& b) { return TotalLayers(a) < TotalLayers(b); });
  }
  for (size_t i = 0; i < trials.size(); ++i) {
    Board& board = board_of(trials[i]);
    const std::string label = LabelOf(further, trials[i]);
    BoardRow& row = FindOrAdd(board.rows, [&](const BoardRow& r) { return r.label == label; });
    row.label = label;
    row.cells.resize(board.depths.size());
    const auto depth = std::find(board.depths.begin(), board.depths.end(), trials[i].spec().model().depth());
    std::vector<size_t>& cell = row.cells[static_cast<size_t>(depth - board.depths.begin())];
    cell.push_back(i);
    row.most = std::max(row.most, cell.size());
    board.most_seeds = std::max(board.most_seeds, cell.size());
  }
  if (boards.empty()) boards.emplace_back();
  return boards;
}

double SecondsLeft(const v1::Trial& trial, absl::Time now) {
  if (trial.state() != v1::JOB_STATE_RUNNING) return -1;
  if (trial.estimated_end_time().seconds() > 0)
    return std::max(0.0, absl::ToDoubleSeconds(absl::FromUnixSeconds(trial.estimated_end_time().seconds()) - now));
  if (trial.seconds_per_update() > 0) return trial.seconds_per_update() * (trial.updates() - trial.updates_done());
  return -1;
}

std::string ShortDuration(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9) return "";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return absl::StrFormat("%ds", whole);
  if (whole < 3600) return absl::StrFormat("%dm%02d", whole / 60, whole % 60);
  if (whole < 86400) return absl::StrFormat("%dh%02d", whole / 3600, whole / 60 % 60);
  return absl::StrFormat("%dd%dh", whole / 86400, whole / 3600 % 24);
}

std::string ScoreText(const MainScore& score) { return absl::StrFormat("%s %.2f", score.metric, score.value); }

}  // namespace strata::client::top
