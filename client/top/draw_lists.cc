#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "client/names.h"
#include "client/top/draw.h"

namespace strata::client::top {
namespace {

std::string Standing(const v1::Worker& worker) {
  return WorkerStateName(worker.state()) + (worker.draining() ? ", draining" : worker.cordoned() ? ", cordoned" : "");
}

Style StyleOf(const v1::Worker& worker) {
  if (worker.state() == v1::WORKER_STATE_LOST) return Style::kFailed;
  if (worker.state() == v1::WORKER_STATE_GONE) return Style::kDim;
  return worker.cordoned() || worker.draining() ? Style::kDiverged : Style::kDone;
}

const char* SignOf(const v1::Worker& worker, const Signs& signs) {
  if (worker.state() == v1::WORKER_STATE_LOST) return signs.failed;
  if (worker.state() == v1::WORKER_STATE_GONE) return signs.cancelled;
  return worker.cordoned() || worker.draining() ? signs.pending : signs.done;
}

// What runs on a slot: the job, its attempt, and how far it is where its trial is known.
std::string Occupant(const Knowledge& known, const v1::Slot& slot) {
  std::string attempt;
  const std::string job = HolderOf(slot, &attempt);
  if (job.empty()) return "free";
  std::string text = absl::StrCat(ShortName(job), " attempt ", attempt);
  const v1::Trial* trial = known.Find(ParentOf(job));
  if (trial == nullptr) return text;
  absl::StrAppend(&text, "  ", trial->spec().model().scheme(), " ", trial->spec().model().depth());
  if (LastPart(job) == "train" && trial->updates() > 0)
    absl::StrAppend(&text, "  ", trial->updates_done(), "/", trial->updates());
  return text;
}

void DrawWorker(const v1::Worker& worker, const Light& light, size_t row, Screen& screen) {
  size_t used = 0;
  for (const v1::Slot& slot : worker.slots()) used += slot.holder().empty() ? 0 : 1;
  const Style style = StyleOf(worker);
  screen.Put(row, 1, SignOf(worker, light.signs), style);
  screen.PutFit(row, 3, ShortName(worker.name()), style, 22, light.signs);
  screen.PutFit(row, 23, Standing(worker), style, 41, light.signs);
  screen.Put(row, 42, absl::StrCat(used, " of ", worker.slots_size(), " used"), Style::kText);
  const std::string seen = absl::StrCat(
      "seen ", absl::FormatTime("%H:%M:%S", absl::FromUnixSeconds(worker.last_seen_time().seconds()), light.zone));
  const size_t right = screen.columns() - 1 - seen.size();
  constexpr size_t kHost = 55;
  const std::string whole = absl::StrCat(worker.host(), " ", worker.version());
  screen.PutFit(row, kHost, kHost + WidthOf(whole) < right ? whole : worker.host(), Style::kDim, right - 1, light.signs);
  screen.Put(row, right, seen, Style::kDim);
}

}  // namespace

void DrawWorkers(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  if (!known.workers_known) {
    if (!known.away()) screen.Put(kTop, 1, absl::StrCat("Asking the coordinator at ", known.address, "."), Style::kDim);
    return;
  }
  const std::vector<SlotLine> lines = SlotLines(known);
  if (lines.empty()) {
    screen.Put(kTop, 1, "No workers. 'strata up' starts one here; elsewhere: strata-agent --coordinator HOST:PORT.");
    return;
  }
  const size_t shown = Bottom(screen) - kTop, first = FirstShown(view.slot, shown, lines.size());
  for (size_t i = first; i < std::min(lines.size(), first + shown); ++i) {
    const size_t row = kTop + i - first;
    if (lines[i].slot == nullptr) {
      DrawWorker(*lines[i].worker, light, row, screen);
    } else {
      const v1::Slot& slot = *lines[i].slot;
      const bool free = slot.holder().empty();
      screen.PutFit(row, 5,
                    absl::StrCat("slot ", slot.index(), "  ", slot.device(),
                                 slot.cores().empty() ? "" : absl::StrCat(" ", slot.cores())),
                    Style::kDim, 24, light.signs);
      screen.PutFit(row, 25, Occupant(known, slot), free ? Style::kDim : Style::kRunning, screen.columns() - 1,
                    light.signs);
    }
    if (i == view.slot) screen.Select(row, 1, screen.columns() - 1);
  }
}

void DrawLogs(const Knowledge& known, const View& view, const Light& light, Screen& screen) {
  const LogTail& log = known.log;
  if (log.job != LogJob(view, known)) {
    if (!known.away()) screen.Put(kTop, 1, "Asking for the log.", Style::kDim);
    return;
  }
  const bool empty = log.lines.empty() || (log.lines.size() == 1 && log.lines[0].empty());
  if (!log.error.empty() || empty) {
    const std::string nothing =
        absl::StrCat("Attempt ", log.attempt, log.complete ? " wrote nothing." : " has written nothing yet.");
    screen.PutFit(kTop, 1, log.error.empty() ? nothing : log.error, Style::kDim, screen.columns() - 1, light.signs);
    return;
  }
  const size_t shown = Bottom(screen) - kTop - 1;
  size_t end = log.lines.size();
  if (log.lines.back().empty()) --end;  // what follows the last newline
  const size_t up = std::min(view.log_up, end > shown ? end - shown : 0);
  end -= up;
  const size_t begin = end > shown ? end - shown : 0;
  for (size_t i = begin; i < end; ++i)
    screen.PutFit(kTop + i - begin, 1, log.lines[i], Style::kText, screen.columns() - 1, light.signs);
  screen.Put(Bottom(screen) - 1, 1,
             absl::StrCat("attempt ", log.attempt, ", lines ", log.dropped + static_cast<int64_t>(begin) + 1, " to ",
                          log.dropped + static_cast<int64_t>(end),
                          up > 0         ? "; G follows"
                          : log.complete ? "; its end"
                                         : "; following"),
             Style::kDim);
}

}  // namespace strata::client::top
