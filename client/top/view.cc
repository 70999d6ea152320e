#include "client/top/view.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/format.h"
#include "client/names.h"

namespace strata::client::top {
namespace {

constexpr size_t kManySeeds = 4;
constexpr size_t kPageOfLines = 10;

void Open(Page page, View& view) {
  if (view.page == page) return;
  view.back.push_back(view.page);
  view.page = page;
}

void GoBack(View& view) {
  if (view.help) {
    view.help = false;
  } else if (!view.back.empty()) {
    view.page = view.back.back();
    view.back.pop_back();
  } else if (view.page != Page::kExperiments) {
    view.page = Page::kExperiments;
  }
}

void OpenExperiment(const std::string& name, View& view) {
  if (view.experiment != name) {
    view.experiment = name;
    view.board = view.row = view.depth = view.seed = 0;
    view.folded.reset();
    view.trial.clear();
  }
  view.page = Page::kBoard;
  view.back = {Page::kExperiments};
}

void OpenTrial(const std::string& trial, View& view) {
  view.trial = trial;
  view.log_job.clear();
  Open(Page::kTrial, view);
}

// `by` lines down (or up, where negative), within `lines`.
void Move(int by, size_t lines, size_t& at) {
  const auto last = static_cast<int64_t>(lines) - 1;
  at = static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(at) + by, 0, std::max<int64_t>(0, last)));
}

// Lines that a key moves by; 0 for another key.
int LinesOf(const Key& key) {
  switch (key.code) {
    case Key::kUp:
    case 'k':
      return -1;
    case Key::kDown:
    case 'j':
      return 1;
    case Key::kPageUp:
      return -static_cast<int>(kPageOfLines);
    case Key::kPageDown:
      return static_cast<int>(kPageOfLines);
    case Key::kHome:
    case 'g':
      return -1000000;
    case Key::kEnd:
    case 'G':
      return 1000000;
    default:
      return 0;
  }
}

int ColumnsOf(const Key& key) {
  return key.code == Key::kLeft || key.code == 'h' ? -1 : key.code == Key::kRight || key.code == 'l' ? 1 : 0;
}

// Down and up go through the seeds of a cell before they leave it.
void MoveOnBoard(int by, const Board& board, bool folded, View& view) {
  const auto seeds = [&](size_t row) {
    return folded || board.rows.empty() ? 1 : std::max<size_t>(1, board.rows[row].most);
  };
  for (; by > 0; --by) {
    if (view.seed + 1 < seeds(view.row)) {
      ++view.seed;
    } else if (view.row + 1 < board.rows.size()) {
      ++view.row;
      view.seed = 0;
    } else {
      return;
    }
  }
  for (; by < 0; ++by) {
    if (view.seed > 0) {
      --view.seed;
    } else if (view.row > 0) {
      --view.row;
      view.seed = seeds(view.row) - 1;
    } else {
      return;
    }
  }
}

void PressOnBoard(const Key& key, const Knowledge& known, View& view) {
  const std::vector<Board> boards = Arrange(known.experiment, known.trials);
  const Board& board = boards[std::min(view.board, boards.size() - 1)];
  if (const int by = LinesOf(key); by != 0) MoveOnBoard(by, board, Folded(view, board), view);
  if (const int by = ColumnsOf(key); by != 0) Move(by, board.depths.size(), view.depth);
  if (key.code == Key::kTab || key.code == Key::kBackTab) {
    view.board = (view.board + (key.code == Key::kTab ? 1 : boards.size() - 1)) % boards.size();
    view.row = view.depth = view.seed = 0;
  }
  if (key.code == 's') {
    view.folded = !Folded(view, board);
    view.seed = 0;
  }
  if (key.code == Key::kEnter) {
    if (const v1::Trial* trial = Selected(view, known); trial != nullptr) OpenTrial(trial->name(), view);
  }
}

void PressOnTrial(const Key& key, const Knowledge& known, View& view) {
  const bool forward = key.code == Key::kTab || LinesOf(key) == 1 || key.code == Key::kRight;
  const bool backward = key.code == Key::kBackTab || LinesOf(key) == -1 || ColumnsOf(key) == -1;
  const size_t count = known.trials.size();
  if ((!forward && !backward) || count == 0) return;
  for (size_t i = 0; i < count; ++i) {
    if (known.trials[i].name() != view.trial) continue;
    view.trial = known.trials[(i + (forward ? 1 : count - 1)) % count].name();
    view.log_job.clear();
    return;
  }
}

void PressOnWorkers(const Key& key, const Knowledge& known, View& view) {
  const std::vector<SlotLine> lines = SlotLines(known);
  if (const int by = LinesOf(key); by != 0) Move(by, lines.size(), view.slot);
  if (key.code == Key::kTab && !lines.empty()) {  // the next worker's head
    do {
      view.slot = (view.slot + 1) % lines.size();
    } while (lines[view.slot].slot != nullptr);
  }
  if (key.code != Key::kEnter || view.slot >= lines.size() || lines[view.slot].slot == nullptr) return;
  const std::string job = HolderOf(*lines[view.slot].slot, nullptr);
  if (job.empty()) return;
  const std::string trial = ParentOf(job), experiment = ParentOf(trial);
  if (experiment != view.experiment) OpenExperiment(experiment, view);
  OpenTrial(trial, view);
}

void PressOnLogs(const Key& key, const Knowledge& known, View& view) {
  if (const int by = LinesOf(key); by != 0) {
    Move(-by, known.log.lines.size(), view.log_up);
    return;
  }
  const v1::Trial* trial = Selected(view, known);
  if (trial == nullptr || (key.code != Key::kTab && key.code != Key::kBackTab)) return;
  const std::string shown = LogJob(view, known);
  const int count = trial->jobs_size();
  for (int i = 0; i < count; ++i) {
    if (trial->jobs(i).name() != shown) continue;
    view.log_job = trial->jobs((i + (key.code == Key::kTab ? 1 : count - 1)) % count).name();
    view.log_up = 0;
    return;
  }
}

void PressOnExperiments(const Key& key, const Knowledge& known, View& view) {
  if (const int by = LinesOf(key); by != 0) Move(by, known.experiments.size(), view.chosen);
  if (key.code == Key::kEnter && view.chosen < known.experiments.size())
    OpenExperiment(known.experiments[view.chosen].name(), view);
}

void AskToCancel(const Knowledge& known, View& view) {
  if (view.page == Page::kExperiments) {
    if (view.chosen < known.experiments.size())
      view.asks = Command{Command::kCancelExperiment, known.experiments[view.chosen].name()};
    return;
  }
  if (view.page == Page::kWorkers) return;
  const v1::Trial* trial = Selected(view, known);
  if (trial == nullptr) return;
  const bool live =
      std::any_of(trial->jobs().begin(), trial->jobs().end(), [](const v1::Job& job) { return !IsFinal(job.state()); });
  if (live) {
    view.asks = Command{Command::kCancelTrial, trial->name()};
  } else {
    view.says = absl::StrCat(ShortName(trial->name()), " has ended: nothing is left to cancel.");
  }
}

void OpenLogs(const Knowledge& known, View& view) {
  const v1::Trial* trial = Selected(view, known);
  if (trial == nullptr || view.page == Page::kExperiments || view.page == Page::kWorkers) return;
  view.trial = trial->name();
  view.log_job.clear();
  view.log_up = 0;
  Open(Page::kLogs, view);
}

// Keys that mean the same on every page. False for another key.
bool PressAnywhere(const Key& key, const Knowledge& known, View& view) {
  switch (key.code) {
    case 'q':
      view.quit = true;
      return true;
    case '?':
      view.help = !view.help;
      return true;
    case Key::kEscape:
    case 0x7F:
      GoBack(view);
      return true;
    case 'w':
      Open(Page::kWorkers, view);
      return true;
    case 'e':
      view.back.clear();
      view.page = Page::kExperiments;
      return true;
    case 'l':
      if (view.page != Page::kTrial) return false;  // where there are columns it moves
      OpenLogs(known, view);
      return true;
    case 'L':
      OpenLogs(known, view);
      return true;
    case 'c':
      AskToCancel(known, view);
      return true;
    default:
      return false;
  }
}

}  // namespace

bool Folded(const View& view, const Board& board) { return view.folded.value_or(board.most_seeds > kManySeeds); }

const v1::Trial* Selected(const View& view, const Knowledge& known) {
  if (view.page == Page::kTrial || view.page == Page::kLogs) return known.Find(view.trial);
  const std::vector<Board> boards = Arrange(known.experiment, known.trials);
  const Board& board = boards[std::min(view.board, boards.size() - 1)];
  if (view.row >= board.rows.size() || view.depth >= board.depths.size()) return nullptr;
  const std::vector<size_t>& cell = board.rows[view.row].cells[view.depth];
  return view.seed < cell.size() ? &known.trials[cell[view.seed]] : nullptr;
}

std::string LogJob(const View& view, const Knowledge& known) {
  if (!view.log_job.empty()) return view.log_job;
  const v1::Trial* trial = Selected(view, known);
  const v1::Job* job = trial == nullptr ? nullptr : JobInView(*trial);
  return job == nullptr ? "" : job->name();
}

std::optional<Command> Press(const Key& key, const Knowledge& known, View& view) {
  view.says.clear();
  if (view.asks.has_value()) {
    const std::optional<Command> asked = std::exchange(view.asks, std::nullopt);
    return key.code == 'y' || key.code == 'Y' ? asked : std::nullopt;
  }
  if (view.help && key.code != 'q' && key.code != '?') {
    view.help = false;
    return std::nullopt;
  }
  if (PressAnywhere(key, known, view)) return std::nullopt;
  if (key.code == 'r') {
    const v1::Trial* trial = Selected(view, known);
    if (trial == nullptr || view.page == Page::kExperiments || view.page == Page::kWorkers) return std::nullopt;
    return Command{Command::kRetryTrial, trial->name()};
  }
  switch (view.page) {
    case Page::kExperiments:
      PressOnExperiments(key, known, view);
      break;
    case Page::kBoard:
      PressOnBoard(key, known, view);
      break;
    case Page::kTrial:
      PressOnTrial(key, known, view);
      break;
    case Page::kWorkers:
      PressOnWorkers(key, known, view);
      break;
    case Page::kLogs:
      PressOnLogs(key, known, view);
      break;
  }
  return std::nullopt;
}

void Clamp(const Knowledge& known, View& view) {
  Move(0, known.experiments.size(), view.chosen);
  Move(0, SlotLines(known).size(), view.slot);
  if (view.page == Page::kLogs) Move(0, known.log.lines.size(), view.log_up);
}

std::string QuestionOf(const Command& command, const Knowledge& known) {
  if (command.kind == Command::kCancelExperiment)
    return absl::StrCat("Cancel all that has not ended of ", ShortName(command.name), "? y/n");
  std::vector<std::string> jobs;
  if (const v1::Trial* trial = known.Find(command.name); trial != nullptr) {
    for (const v1::Job& job : trial->jobs()) {
      if (!IsFinal(job.state())) jobs.push_back(LastPart(job.name()));
    }
  }
  return absl::StrCat("Cancel ", ShortName(command.name), " (", absl::StrJoin(jobs, ", "), ")? y/n");
}

std::vector<SlotLine> SlotLines(const Knowledge& known) {
  std::vector<SlotLine> lines;
  for (const v1::Worker& worker : known.workers) {
    lines.push_back({&worker, nullptr});
    for (const v1::Slot& slot : worker.slots()) lines.push_back({&worker, &slot});
  }
  return lines;
}

std::string HolderOf(const v1::Slot& slot, std::string* attempt) {
  const size_t hash = slot.holder().find('#');
  if (attempt != nullptr) *attempt = hash == std::string::npos ? "" : slot.holder().substr(hash + 1);
  return slot.holder().substr(0, hash);
}

}  // namespace strata::client::top
