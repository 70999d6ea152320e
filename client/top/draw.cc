#include "client/top/draw.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/names.h"

namespace strata::client::top {
namespace {

constexpr absl::Duration kNoticeTime = absl::Seconds(30);

struct Hint {
  const char* key;
  const char* does;
};

// All of them fit in kLeastColumns.
std::vector<Hint> HintsOf(const View& view) {
  switch (view.page) {
    case Page::kExperiments:
      return {{"jk", "move"}, {"enter", "open"}, {"c", "cancel"}, {"w", "workers"}, {"?", "help"}, {"q", "quit"}};
    case Page::kBoard:
      return {{"hjkl", "move"}, {"enter", "trial"}, {"c", "cancel"}, {"r", "retry"},
              {"L", "logs"},    {"w", "workers"},   {"?", "help"},   {"q", "quit"}};
    case Page::kTrial:
      return {{"esc", "back"}, {"tab", "next trial"}, {"c", "cancel"}, {"r", "retry"},
              {"l", "logs"},   {"w", "workers"},      {"?", "help"},   {"q", "quit"}};
    case Page::kWorkers:
      return {{"esc", "back"},    {"jk", "move"}, {"tab", "next worker"},
              {"enter", "trial"}, {"?", "help"},  {"q", "quit"}};
    case Page::kLogs:
      return {{"esc", "back"}, {"jk", "scroll"}, {"G", "follow"}, {"tab", "job"},
              {"c", "cancel"}, {"r", "retry"},   {"?", "help"},   {"q", "quit"}};
  }
  return {};
}

void DrawFoot(const View& view, Screen& screen) {
  const size_t row = screen.rows() - 1;
  size_t column = 1;
  for (const Hint& hint : HintsOf(view)) {
    column = screen.Put(row, column, hint.key, Style::kKey) + 1;
    column = screen.Put(row, column, hint.does, Style::kDim) + 2;
  }
}

std::string SlotsText(const Knowledge& known) {
  int used = 0, slots = 0, lost = 0;
  for (const v1::Worker& worker : known.workers) {
    if (worker.state() == v1::WORKER_STATE_LOST) ++lost;
    if (worker.state() != v1::WORKER_STATE_READY) continue;
    for (const v1::Slot& slot : worker.slots()) {
      ++slots;
      used += slot.holder().empty() ? 0 : 1;
    }
  }
  if (!known.workers_known) return "";
  return absl::StrCat(used, " of ", slots, slots == 1 ? " slot" : " slots", " used",
                      lost > 0 ? absl::StrCat(", ", lost, lost == 1 ? " worker lost" : " workers lost") : "");
}

std::string TitleOf(const Knowledge& known, const View& view) {
  switch (view.page) {
    case Page::kExperiments:
      return "experiments";
    case Page::kBoard:
      return ShortName(view.experiment);
    case Page::kTrial:
      return ShortName(view.trial);
    case Page::kWorkers:
      return "workers and slots";
    case Page::kLogs:
      return absl::StrCat("log of ", ShortName(LogJob(view, known)));
  }
  return "";
}

void DrawHead(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  const std::string clock = absl::FormatTime("%H:%M:%S", light.now, light.zone);
  const size_t right = screen.columns() - clock.size() - 1;
  screen.Put(0, right, clock, Style::kDim);
  size_t column = screen.Put(0, 1, "strata top", Style::kTitle);
  column = screen.PutFit(0, column + 2, TitleOf(known, view), Style::kTitle, right - 1, light.signs);
  const std::string slots = SlotsText(known);
  if (column + 2 + slots.size() < right) screen.Put(0, right - slots.size() - 2, slots, Style::kDim);
  if (known.away()) {
    const std::string away = absl::StrCat(light.signs.failed, " The coordinator does not answer since ",
                                          absl::FormatTime("%H:%M:%S", known.away_since, light.zone), "; trying again");
    const std::string where = absl::StrCat(" (", known.address, ")");
    const bool fits = WidthOf(away) + WidthOf(where) + 3 <= screen.columns();
    screen.Put(1, 1, absl::StrCat(away, fits ? where : "", "."), Style::kNotice, screen.columns() - 1);
  } else if (!known.refused.empty()) {
    screen.PutFit(1, 1,
                  absl::StrCat(light.signs.failed, " The coordinator lets you in no more since ",
                               absl::FormatTime("%H:%M:%S", known.refused_since, light.zone), "; trying again."),
                  Style::kNotice, screen.columns() - 1, light.signs);
  } else if (view.page != Page::kExperiments && view.page != Page::kWorkers && !known.experiment.name().empty()) {
    const v1::Experiment& experiment = known.experiment;
    screen.PutFit(
        1, 1,
        absl::StrCat(experiment.trials(), experiment.trials() == 1 ? " trial: " : " trials: ", StateCounts(experiment)),
        Style::kText, screen.columns() - 1, light.signs);
  }
}

void DrawPage(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  switch (view.page) {
    case Page::kExperiments:
      return DrawExperiments(known, view, light, screen);
    case Page::kBoard:
      return DrawBoard(known, view, light, screen);
    case Page::kTrial:
      return DrawTrial(known, view, light, screen);
    case Page::kWorkers:
      return DrawWorkers(known, view, light, screen);
    case Page::kLogs:
      return DrawLogs(known, view, light, screen);
  }
}

}  // namespace

Screen Draw(const Knowledge& known, const View& view, const Light& light, size_t rows, size_t columns) {
  Screen screen(rows, columns);
  if (rows < kLeastRows || columns < kLeastColumns) {
    screen.Put(0, 0,
               absl::StrCat("strata top needs ", kLeastColumns, "x", kLeastRows, ", this is ", columns, "x", rows,
                            "; q quits"),
               Style::kNotice);
    return screen;
  }
  DrawHead(known, view, light, screen);
  if (view.help) {
    DrawHelp(light, screen);
  } else {
    DrawPage(known, view, light, screen);
  }
  const std::string notice = view.asks.has_value()                         ? QuestionOf(*view.asks, known)
                             : !view.says.empty()                          ? view.says
                             : !known.refused.empty()                      ? known.refused
                             : light.now - known.notice_time < kNoticeTime ? known.notice
                                                                           : "";
  screen.PutFit(rows - 2, 1, notice, Style::kNotice, columns - 1, light.signs);
  DrawFoot(view, screen);
  return screen;
}

void DrawExperiments(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  if (!known.experiments_known) {
    if (!known.away()) screen.Put(kTop, 1, absl::StrCat("Asking the coordinator at ", known.address, "."), Style::kDim);
    return;
  }
  if (known.experiments.empty()) {
    screen.Put(kTop, 1, "No experiments yet. 'strata spec init' prints one to begin with, 'strata submit' starts it.");
    return;
  }
  constexpr size_t kName = 3, kTrials = 27, kStates = 35, kTime = 11;
  const size_t submitted = screen.columns() - 1 - kTime;
  const std::array<std::pair<size_t, const char*>, 4> titles = {
      {{kName, "EXPERIMENT"}, {kTrials, "TRIALS"}, {kStates, "BY STATE"}, {submitted, "SUBMITTED"}}};
  for (const auto& [column, title] : titles) screen.Put(kTop, column, title, Style::kDim);
  const size_t shown = Bottom(screen) - kTop - 1;
  const size_t first = FirstShown(view.chosen, shown, known.experiments.size());
  for (size_t i = first; i < std::min(known.experiments.size(), first + shown); ++i) {
    const v1::Experiment& experiment = known.experiments[i];
    const size_t row = kTop + 1 + i - first;
    const Style style = experiment.done() ? Style::kText : Style::kRunning;
    if (!experiment.done()) screen.Put(row, 1, light.signs.running, style);
    screen.PutFit(row, kName, ShortName(experiment.name()), style, kTrials - 1, light.signs);
    screen.Put(row, kTrials, absl::StrFormat("%6d", experiment.trials()), style);
    screen.PutFit(row, kStates, StateCounts(experiment), style, submitted - 1, light.signs);
    screen.Put(row, submitted,
               absl::FormatTime("%m-%d %H:%M", absl::FromUnixSeconds(experiment.create_time().seconds()), light.zone),
               style);
    if (i == view.chosen) screen.Select(row, 1, screen.columns() - 1);
  }
}

void DrawHelp(const Light& light, Screen& screen) {
  static constexpr const char* kLines[] = {
      "arrows, hjkl    move; from trial to trial; scroll a log",
      "g G, page keys  to the beginning, to the end (follow a log), by ten lines",
      "enter           open: an experiment, a trial, the trial that holds a slot",
      "tab, shift-tab  the next or last board, trial, worker, or job's log",
      "esc             back",
      "c               cancel what has not ended of it (asks y/n)",
      "r               retry a failed or cancelled job, from its last checkpoint",
      "l, L            follow the log (on the board L: there l moves)",
      "w               workers and slots",
      "e               list of experiments",
      "s               on the board: seeds in one line, or one below another",
      "?  q            this help; quit. What runs goes on.",
  };
  size_t row = kTop;
  for (const char* line : kLines) screen.Put(row++, 2, line);
  const Signs& s = light.signs;
  screen.Put(++row, 2,
             absl::StrCat(s.queued, " queued, with its place   ", s.pending, " starting   ", s.running, " running   ",
                          s.evaluating, " being evaluated   ", s.done, " done"));
  screen.Put(++row, 2,
             absl::StrCat(s.diverged, " DIVERGED (a result)   ", s.failed, " FAILED   ", s.cancelled, " cancelled"));
  screen.Put(row + 2, 2, "docs/MONITOR.md has the pages one by one.", Style::kDim);
}

}  // namespace strata::client::top
