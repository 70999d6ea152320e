// Which page is open and what is selected there, and what a key does to it. Pure: the same view, knowledge and key give
// the same view and command.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/top/board.h"
#include "client/top/knowledge.h"

namespace strata::client::top {

enum class Page { kExperiments, kBoard, kTrial, kWorkers, kLogs };

// A key: a character, or one of these.
struct Key {
  enum Code { kUp = 0x110000, kDown, kLeft, kRight, kPageUp, kPageDown, kHome, kEnd, kEnter, kTab, kBackTab, kEscape };
  int code = 0;
};

// What a person asked for and confirmed; the poller does it.
struct Command {
  enum Kind { kCancelExperiment, kCancelTrial, kRetryTrial };
  Kind kind = kCancelTrial;
  std::string name;  // full, of the experiment or the trial
};

struct View {
  Page page = Page::kBoard;
  std::vector<Page> back;  // where escape leads, the last one first
  std::string experiment;  // full name; empty: none chosen
  std::string trial;       // of the pages of a trial and of logs
  size_t chosen = 0;       // line of the list of experiments
  size_t board = 0, row = 0, depth = 0, seed = 0;
  std::optional<bool> folded;  // seeds in one line; by default where they are many
  size_t slot = 0;             // line of the list of slots
  std::string log_job;         // full name; empty: the job that is worth looking at
  size_t log_up = 0;           // lines from the end of the log; 0 follows it
  bool help = false;
  bool quit = false;
  std::optional<Command> asks;  // waits for y or n
  std::string says;             // the monitor's own answer to the last key, a sentence
};

// Seeds stand in one line, as a person chose or because they are many.
bool Folded(const View& view, const Board& board);
// The trial under the cursor of the board, or of the page of a trial. Null if there is none.
const v1::Trial* Selected(const View& view, const Knowledge& known);
// The job whose log is shown, as its full name; "" if there is none.
std::string LogJob(const View& view, const Knowledge& known);

// Takes a key in. Returns what is to be done by the service, if anything.
std::optional<Command> Press(const Key& key, const Knowledge& known, View& view);
// Moves the cursor back into what there is, after the knowledge has changed.
void Clamp(const Knowledge& known, View& view);
// "Cancel e-1/t3 (train, evaluate-1)? y/n"
std::string QuestionOf(const Command& command, const Knowledge& known);

// A line of the page of workers: a worker's head, or one of its slots.
struct SlotLine {
  const v1::Worker* worker = nullptr;
  const v1::Slot* slot = nullptr;  // null: the head
};
std::vector<SlotLine> SlotLines(const Knowledge& known);
// The job that holds a slot, full name; "" if it is free. `attempt` (may be null) gets the attempt's number as text.
std::string HolderOf(const v1::Slot& slot, std::string* attempt);

}  // namespace strata::client::top
