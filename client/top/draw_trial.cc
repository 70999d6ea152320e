#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"
#include "client/progress.h"
#include "client/top/draw.h"
#include "client/top/plot.h"

namespace strata::client::top {
namespace {

std::string Speed(const v1::Trial& trial, const Measured& measured) {
  std::vector<std::string> parts;
  if (const auto rate = measured.scalars.find("learning_rate");
      rate != measured.scalars.end() && !rate->second.values.empty())
    parts.push_back(absl::StrFormat("learning rate %.3g", rate->second.values.back()));
  if (trial.tokens_per_second() > 0)
    parts.push_back(absl::StrCat(FormatCount(static_cast<int64_t>(trial.tokens_per_second())), " tokens/s"));
  if (trial.seconds_per_update() > 0) parts.push_back(absl::StrFormat("%.3g s an update", trial.seconds_per_update()));
  return absl::StrJoin(parts, "   ");
}

std::string AttemptsText(const v1::Job& job) {
  if (job.attempts_size() == 0) return "no attempt yet";
  const v1::Attempt& last = job.attempts(job.attempts_size() - 1);
  std::vector<std::string> workers;
  for (const std::string& worker : last.workers()) workers.push_back(ShortName(worker));
  std::string text = absl::StrCat("attempt ", last.number(), " on ", absl::StrJoin(workers, " "), ", ", last.ranks(),
                                  last.ranks() == 1 ? " rank" : " ranks");
  if (last.has_resumed_from()) absl::StrAppend(&text, ", from update ", last.resumed_from());
  absl::StrAppend(&text, ", ", last.outcome().empty() ? "live" : last.outcome(),
                  last.cause().empty() ? "" : absl::StrCat(" (", last.cause(), ")"));
  for (int i = job.attempts_size() - 2; i >= std::max(0, job.attempts_size() - 4); --i) {
    const v1::Attempt& before = job.attempts(i);
    absl::StrAppend(&text, "; ", before.number(), ": ", before.outcome(),
                    before.cause().empty() ? "" : absl::StrCat(" (", before.cause(), ")"));
  }
  return text;
}

// Progress, speed, attempts, results: one line each. Returns the row after them.
size_t DrawFacts(const Knowledge& known, const v1::Trial& trial, const Light& light, Screen& screen) {
  std::vector<std::string> details = Details(known, trial, light.now);
  const v1::Job* job = MainJob(trial);
  const bool ours = job != nullptr && known.measured.job == job->name();
  std::vector<std::string> lines = {details[0]};
  if (const std::string speed = Speed(trial, ours ? known.measured : Measured{}); !speed.empty())
    lines.push_back(speed);
  if (job != nullptr) lines.push_back(AttemptsText(*job));
  if (!details[1].empty()) lines.push_back(details[1]);
  size_t row = kTop;
  for (const std::string& line : lines) screen.PutFit(row++, 1, line, Style::kText, screen.columns() - 1, light.signs);
  return row;
}

void DrawLoss(const Measured& measured, const Light& light, Area area, Screen& screen) {
  const auto of = [&](const char* name) {
    const auto found = measured.scalars.find(name);
    return found == measured.scalars.end() ? Measured::Curve{} : found->second;
  };
  const Measured::Curve train = of("train_loss"), valid = of("valid_nll");
  size_t column = screen.Put(area.row, area.column, "train_loss", Style::kTrain);
  if (!train.values.empty())
    column = screen.Put(area.row, column + 1, FormatNll(true, train.values.back()), Style::kTrain);
  column = screen.Put(area.row, column + 3, absl::StrCat(light.signs.valid, " valid_nll"), Style::kValid);
  if (!valid.values.empty())
    column = screen.Put(area.row, column + 1, FormatNll(true, valid.values.back()), Style::kValid);
  screen.Put(area.row, column + 3, "nats a target token", Style::kDim);
  if (train.values.empty() && valid.values.empty()) {
    screen.Put(area.row + 1, area.column, "Nothing measured yet.", Style::kDim);
    return;
  }
  DrawCurve(train, valid, light.signs, {area.row + 1, area.column, area.rows - 1, area.columns}, screen);
}

void DrawNorms(const Measured& measured, const Light& light, Area area, Screen& screen) {
  std::vector<std::pair<std::string, const Measured::Rows*>> stacks;
  std::vector<const Measured::Rows*> all;
  for (const char* stack : {"encoder", "decoder"}) {
    const auto found = measured.gradient_norms.find(stack);
    if (found == measured.gradient_norms.end() || found->second.values.empty()) continue;
    stacks.emplace_back(stack, &found->second);
    all.push_back(&found->second);
  }
  const size_t column = screen.Put(area.row, area.column, "gradient norm, layer by update", Style::kTitle);
  const LogRange range = RangeOf(all);
  if (range.empty) {
    screen.Put(area.row + 1, area.column, "Not measured (diagnostics.gradient_norms_every), or not yet.", Style::kDim);
    return;
  }
  DrawScale(range, light.signs, area.row, column + 3, screen);
  const size_t width = (area.columns - (stacks.size() - 1)) / stacks.size();
  for (size_t i = 0; i < stacks.size(); ++i) {
    DrawHeat(stacks[i].first, *stacks[i].second, range, light.signs,
             {area.row + 1, area.column + i * (width + 1), area.rows - 1, width}, screen);
  }
}

// Title, stacks' names, a row a layer, updates.
size_t RowsOfMap(const Measured& measured) {
  size_t layers = 1;
  for (const auto& [stack, rows] : measured.gradient_norms) {
    if (!rows.values.empty()) layers = std::max(layers, rows.values.back().size());
  }
  return layers + 3;
}

}  // namespace

void DrawTrial(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  const v1::Trial* trial = known.Find(view.trial);
  if (trial == nullptr) {
    screen.Put(kTop, 1, absl::StrCat("Asking the coordinator for ", ShortName(view.trial), "."), Style::kDim);
    return;
  }
  const size_t top = DrawFacts(known, *trial, light, screen), left = Bottom(screen) - top;
  const v1::Job* job = MainJob(*trial);
  if (job == nullptr || known.measured.job != job->name()) {
    screen.Put(top, 1, known.away() ? "" : "Asking for its measurements.", Style::kDim);
    return;
  }
  // The map needs no more than a row a layer; what it leaves is the curve's.
  const size_t columns = screen.columns() - 2, curve = left - std::min(left - left / 2, RowsOfMap(known.measured));
  DrawLoss(known.measured, light, {top, 1, curve, columns}, screen);
  DrawNorms(known.measured, light, {top + curve, 1, left - curve, columns}, screen);
}

}  // namespace strata::client::top
